"""Replace the attention function of a model for a while, through transformers' AttentionInterface."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PretrainedConfig, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from headpatterns.errors import InputError, first_line

NAME = "headpatterns"

Attention = Callable[..., tuple[torch.Tensor, torch.Tensor | None]]
"""Function that transformers calls in every layer: (module, query, key, value, mask, ...) to (output [B, T, H, D],
None)."""

_taken = Lock()
"""Held while `NAME` is registered, because transformers has one register for all models and threads of a process."""


@contextmanager
def attending_by(model: PreTrainedModel, attention: Attention) -> Iterator[None]:
    """Within the block, all layers of `model` compute attention with the given function, with masks as SDPA takes them.

    Afterwards, even after an error, each part of the model has its own attention function again, and nothing stays
    registered.

    Raises:
        InputError: the attention of the model cannot be replaced, or the attention of another model is replaced now.
    """
    if not _taken.acquire(blocking=False):
        raise InputError(
            "this process has already replaced the attention of a model (in another thread, or around this "
            "call): wait until that ends, or use another process."
        )
    try:
        with _registered(attention), restored(model):
            _switch(model)
            yield
    finally:
        _taken.release()


@contextmanager
def _registered(attention: Attention) -> Iterator[None]:
    """Within the block, transformers finds the function and its masks under `NAME`."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, _mask)
    try:
        yield
    finally:
        AttentionInterface._global_mapping.pop(NAME, None)
        AttentionMaskInterface._global_mapping.pop(NAME, None)


@contextmanager
def restored(model: PreTrainedModel) -> Iterator[None]:
    """After the block, each part of the model has the attention function that it had before."""
    configs = configs_of(model)
    before = [config._attn_implementation for config in configs]
    try:
        yield
    finally:
        # set_attn_implementation changes only this attribute. With a name, it would set all parts to the same function.
        for config, implementation in zip(configs, before, strict=True):
            config._attn_implementation_internal = implementation


def _switch(model: PreTrainedModel) -> None:
    """Make the layers look up their attention function under `NAME`."""
    try:
        model.set_attn_implementation(NAME)
        reason = "it does not use transformers' AttentionInterface"
    except ValueError as error:
        reason = first_line(error)
    if model.config.get_text_config()._attn_implementation != NAME:
        raise InputError(
            f"the attention of {type(model).__name__} cannot be reached: {reason}; use an architecture whose layers "
            "look their attention up there (most decoders in transformers do)."
        )


def configs_of(model: PreTrainedModel) -> list[PretrainedConfig]:
    """The configs of a model and of all its parts, each once."""
    found: dict[int, PretrainedConfig] = {}
    waiting = [module.config for module in model.modules() if isinstance(module, PreTrainedModel)]
    while waiting:
        config = waiting.pop()
        if config is not None and id(config) not in found:
            found[id(config)] = config
            waiting.extend(getattr(config, name) for name in config.sub_configs)
    return list(found.values())


def _mask(
    *, attention_mask: torch.Tensor | None = None, allow_is_causal_skip: bool = True, **settings: Any
) -> torch.Tensor | None:
    """The mask as SDPA takes it, without the padding if a causal mask is padded on the right.

    In this case the padding comes after all tokens, so the causal mask alone hides it. A padded batch then needs no
    mask at all (or, with a sliding window, one for all samples), and SDPA uses its fastest kernel. The outputs at
    padded positions do not matter: no token attends to them, and they have no loss.

    transformers sets `allow_is_causal_skip` if the mask is causal and nothing was added to it.
    """
    if allow_is_causal_skip and settings["q_length"] == settings["kv_length"] and _right_padded(attention_mask):
        attention_mask = None
    return sdpa_mask(attention_mask=attention_mask, allow_is_causal_skip=allow_is_causal_skip, **settings)


def _right_padded(attention_mask: torch.Tensor | None) -> bool:
    """Whether padding is on the right in every sample of a mask [batch, positions]."""
    return attention_mask is not None and not (attention_mask[:, 1:] > attention_mask[:, :-1]).any()
