"""Retrieval score after Wu et al. (2024, Retrieval Head): how often a head copies from the prompt.

They let a model write what it finds in a long text. A head copies a token if its largest attention weight is on that
token in the text. Here the response of the sample is read rather than generated, and the prompt replaces the text. The
score considers the response tokens that occur in the prompt. It is the share of them for which the largest attention
weight, at the position that predicts the token, is on this token in the prompt. A sample without such tokens has 0. In
a conversation, the prompt is everything before the first answer, and the response is all answers.
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
