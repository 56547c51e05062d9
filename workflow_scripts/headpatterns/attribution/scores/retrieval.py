"""Retrieval score after Wu et al. (2024, Retrieval Head): how often a head copies from the prompt.

They let a model write what it finds in a long text. A head copies a token where its largest attention weight lies on
that token in the text. Here the response of the sample is read rather than written, and the prompt stands for the text.
Of the response tokens that occur in the prompt, this is the share whose token stands where the largest weight among all
positions lies, at the position that predicts it, if that is in the prompt. A sample without such tokens gives 0. Of a
conversation the prompt is all that stands before the first answer, and the response is all answers.
"""

from typing import TYPE_CHECKING

from headpatterns.attribution.scores.score import Layer, Score
from headpatterns.data.tokens import IGNORED

if TYPE_CHECKING:
    import torch


def retrieval(layer: Layer) -> "torch.Tensor":
    """[heads]."""
    first = next(place for place, label in enumerate(layer.labels) if place and label != IGNORED)
    prompt = layer.input_ids[:first]
    copied = [place for place in range(first, len(layer.labels))
              if layer.labels[place] != IGNORED and layer.labels[place] in prompt]  # fmt: skip
    largest = layer.attention[:, [place - 1 for place in copied]].argmax(dim=2)  # [heads, copied]
    hits = [
        [place < first and prompt[place] == layer.labels[wanted] for place, wanted in zip(places, copied, strict=True)]
        for places in largest.tolist()
    ]
    return layer.attention.new_tensor(hits).sum(dim=1) / max(1, len(copied))


SCORE = Score(label="retrieval score", of_layer=retrieval)
