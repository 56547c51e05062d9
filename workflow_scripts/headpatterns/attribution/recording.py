"""The attention function that records: the library's own SDPA with one gradient hook on its output."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from headpatterns.attribution.reductions import REDUCTIONS, Recompute
from headpatterns.errors import InputError

NAME = "headpatterns_recording"


@contextmanager
def recording(model: PreTrainedModel, reduction: str) -> Iterator[dict[int, torch.Tensor]]:
    """Switch `model` to an attention function that records; yield what is recorded: layer index → float32 [B, H].

    Each backward pass inside the block fills the dictionary; the caller empties it between batches. Afterwards, also
    after an error, the model has its own attention function again and nothing stays registered.
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

    before = model.config._attn_implementation
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    try:
        _switch(model, NAME)
        yield recorded
    finally:
        model.set_attn_implementation(before)
        AttentionInterface._global_mapping.pop(NAME)
        AttentionMaskInterface._global_mapping.pop(NAME)


def _switch(model: PreTrainedModel, name: str) -> None:
    model.set_attn_implementation(name)
    if model.config._attn_implementation != name:
        raise InputError(
            f"the attention of {type(model).__name__} cannot be reached: it does not use transformers' "
            "AttentionInterface; use an architecture that does (most decoders in transformers do)."
        )
