"""Scores of heads that are computed in the passes of activation patterns, sample by sample and layer by layer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float32

from headpatterns.attribution.inputs import Sample
from headpatterns.attribution.layer_inputs import AttentionInputs
from headpatterns.attribution.reductions import HeadOutputs
from headpatterns.attribution.scores.score import Layer, Score
from headpatterns.errors import InputError


class Watch:
    """Computes some scores of layers.

    Attributes:
        scores: by name, each with `of_layer`.
        batch: the samples of the pass, which the caller sets before the pass.
        values: float32 [samples, scores, layers, heads], after all passes.
    """

    def __init__(self, scores: Mapping[str, Score]) -> None:
        """Start before the first pass."""
        self.scores = scores
        self.batch: Sequence[Sample] = []
        self.values: Float32[np.ndarray, "samples scores layers heads"] = np.empty((0, len(scores), 0, 0), np.float32)

    def see(
        self, layer: int, inputs: AttentionInputs, output: HeadOutputs, gradient: HeadOutputs
    ) -> Float32[torch.Tensor, "batch scores heads"]:
        """The scores of a layer: float32 [batch, scores, heads].

        Raises:
            InputError: a score has the wrong shape, or is not finite although output and gradient are.
        """
        with torch.no_grad():
            seen = [_layer(row, sample, inputs, output, gradient) for row, sample in enumerate(self.batch)]
            found = [
                torch.stack([self._value(name, score, layer, one, sample.id) for name, score in self.scores.items()])
                for one, sample in zip(seen, self.batch, strict=True)
            ]
        return torch.stack(found)

    def _value(self, name: str, score: Score, layer: int, one: Layer, sample: str) -> Float32[torch.Tensor, " heads"]:
        """One score of one sample in one layer, checked."""
        assert score.of_layer is not None
        heads = one.output.shape[1]
        value = score.of_layer(one)
        shape = list(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        if shape != [heads]:
            raise InputError(
                f"the score '{name}' gives {shape} for a layer of {heads} heads: its of_layer must give a tensor "
                f"[heads], here [{heads}]."
            )
        finite = one.output.isfinite().all() and one.gradient.isfinite().all()
        if finite and not value.isfinite().all():
            raise InputError(
                f"the score '{name}' of sample '{sample}' is not finite in layer {layer}, although output and "
                f"gradient are: fix {name}.py, or leave the score out (studies.head_scores.scores)."
            )
        return value.float()


def _layer(row: int, sample: Sample, inputs: AttentionInputs, output: HeadOutputs, gradient: HeadOutputs) -> Layer:
    """A row of a batch without its padding."""
    length = len(sample.input_ids)
    mask = inputs.mask
    if mask is not None:
        mask = mask[row if mask.shape[0] > 1 else 0, :, :length, :length][None]
    cut = replace(
        inputs,
        query=inputs.query[row : row + 1, :, :length].detach(),
        key=inputs.key[row : row + 1, :, :length].detach(),
        value=inputs.value[row : row + 1, :, :length].detach(),
        mask=mask,
    )
    return Layer(output[row, :length], gradient[row, :length], cut, sample.input_ids, sample.labels)
