"""The attention function that records: the library's own SDPA with one gradient hook on its output."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from headpatterns.attribution.interface import attending_by
from headpatterns.attribution.reductions import REDUCTIONS, Recompute


@contextmanager
def recording(model: PreTrainedModel, reduction: str) -> Iterator[dict[int, torch.Tensor]]:
    """Switch `model` to an attention function that records; yield what is recorded: layer index → float32 [B, H].

    Each backward pass inside the block fills the dictionary; the caller empties it between batches. Afterwards the
    model is as it was.

    Raises:
        InputError: the attention of the model cannot be replaced.
    """
    recorded: dict[int, torch.Tensor] = {}
    reduce = REDUCTIONS[reduction]

    def attention(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        scaling: float | None = None,
        **settings: Any,
    ) -> tuple[torch.Tensor, None]:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **settings)
        if not output.requires_grad:
            return output, None
        detached = output.detach()
        recompute = Recompute(query, key, value, attention_mask, scaling) if reduction == "sum_of_abs" else None
        output.register_hook(
            lambda gradient: recorded.__setitem__(module.layer_idx, reduce(detached, gradient, recompute))
        )
        return output, None

    with attending_by(model, attention):
        yield recorded
