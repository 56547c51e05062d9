"""A model with another attention function, through transformers' AttentionInterface, and as it was afterwards."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from headpatterns.errors import InputError

NAME = "headpatterns"

Attention = Callable[..., tuple[torch.Tensor, torch.Tensor | None]]
"""What transformers calls in every layer: (module, query, key, value, mask, ...) to (output [B, T, H, D], None)."""


@contextmanager
def attending_by(model: PreTrainedModel, attention: Attention) -> Iterator[None]:
    """Within the block all layers of `model` compute their attention by the function, with masks as SDPA takes them.

    Afterwards, also after an error, the model has its own attention function again and nothing stays registered.

    Raises:
        InputError: the attention of the model cannot be replaced.
    """
    before = model.config._attn_implementation
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    try:
        model.set_attn_implementation(NAME)
        if model.config._attn_implementation != NAME:
            raise InputError(
                f"the attention of {type(model).__name__} cannot be reached: it does not use transformers' "
                "AttentionInterface; use an architecture that does (most decoders in transformers do)."
            )
        yield
    finally:
        model.set_attn_implementation(before)
        AttentionInterface._global_mapping.pop(NAME)
        AttentionMaskInterface._global_mapping.pop(NAME)
