"""The attention function that records: the layer's own attention with one gradient hook on its output."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Float32
from transformers import PreTrainedModel

from headpatterns.attribution import adapters
from headpatterns.attribution.blockwise import attend, attend_by_blocks
from headpatterns.attribution.interface import attending_by
from headpatterns.attribution.layer_inputs import AttentionInputs, named, number
from headpatterns.attribution.reductions import HeadOutputs, sums, sums_of_matrix
from headpatterns.errors import InputError

Recorded = dict[int, Float32[torch.Tensor, "batch reductions heads"]]
"""Results of `sums`, by layer."""

Further = Callable[[int, AttentionInputs, HeadOutputs, HeadOutputs], Float32[torch.Tensor, "batch numbers heads"]]
"""Maps a layer's number, the inputs of its attention, o and dO to further numbers of each head."""


@contextmanager
def recording(model: PreTrainedModel, reductions: Sequence[str], further: Further | None = None) -> Iterator[Recorded]:
    """Switch `model` to an attention function that records; yield the records: layer index → float32 [B, R, H].

    R are the reductions, in the order given, and then the numbers of `further`; all come from the same pass.

    Each backward pass inside the block fills the dictionary; the caller empties it between batches. Afterwards the
    model is as before.

    Raises:
        InputError: the attention of the model cannot be replaced, or `further` is given for a model that computes
            attention by itself; in a pass, a layer passes an unknown argument, or attends twice.
    """
    if further and adapters.fits(model):
        raise InputError(
            f"{type(model).__name__} computes its attention itself, so head scores cannot see it: leave the model "
            "out of studies.head_scores.models."
        )
    recorded: Recorded = {}
    recomputes = "sum_of_abs" in reductions or further is not None

    def keep(layer: int, found: Float32[torch.Tensor, "batch reductions heads"]) -> None:
        if layer in recorded:
            raise InputError(
                f"{named(layer)} of {type(model).__name__} computes attention more than once in a pass, so a head "
                "has more than one pattern: use an architecture with one attention per layer."
            )
        recorded[layer] = found

    def watch(layer: int, output: HeadOutputs, inputs: AttentionInputs | None = None) -> HeadOutputs:
        if output.requires_grad:
            detached = output.detach()
            output.register_hook(lambda gradient: keep(layer, numbers(layer, inputs, detached, gradient)))
        return output

    def numbers(
        layer: int, inputs: AttentionInputs | None, output: HeadOutputs, gradient: HeadOutputs
    ) -> Float32[torch.Tensor, "batch reductions heads"]:
        found = sums(reductions, inputs, output, gradient)
        return torch.cat([found, further(layer, inputs, output, gradient)], dim=1) if further and inputs else found

    def see(layer: int, matrix: Float[torch.Tensor, "batch heads positions positions"]) -> None:
        if matrix.requires_grad:
            detached = matrix.detach()
            matrix.register_hook(lambda gradient: keep(layer, sums_of_matrix(reductions, detached, gradient)))

    def attention(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **settings: Any,
    ) -> tuple[torch.Tensor, None]:
        inputs = AttentionInputs.of(module, query, key, value, attention_mask, **settings) if recomputes else None
        if inputs is not None and not torch.is_grad_enabled():
            # In a pass that compares logits, they show whether A, as the reduction computes it, is the layer's.
            return attend_by_blocks(inputs), None
        output, _ = attend(module, query, key, value, attention_mask, **settings)
        return watch(number(module), output, inputs), None

    seen = {"see": see} if recomputes else {"change": watch}
    with adapters.watched(model, **seen) if adapters.fits(model) else attending_by(model, attention):
        yield recorded
