"""A model with another attention function, through transformers' AttentionInterface, and as it was afterwards."""

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
"""What transformers calls in every layer: (module, query, key, value, mask, ...) to (output [B, T, H, D], None)."""

_taken = Lock()
"""Held while `NAME` is registered: transformers has one register for all models and threads of a process."""


@contextmanager
def attending_by(model: PreTrainedModel, attention: Attention) -> Iterator[None]:
    """Within the block all layers of `model` compute their attention by the function, with masks as SDPA takes them.

    Afterwards, also after an error, the model has its own attention function again, each part of it the one that it
    had, and nothing stays registered.

    Raises:
        InputError: the attention of the model cannot be replaced, or that of another model is at the moment.
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
    """Within the block transformers finds the function, and its masks, under `NAME`."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, _mask)
    try:
        yield
    finally:
        AttentionInterface._global_mapping.pop(NAME, None)
        AttentionMaskInterface._global_mapping.pop(NAME, None)


@contextmanager
def restored(model: PreTrainedModel) -> Iterator[None]:
    """After the block each part of the model has the attention function that it had before."""
    configs = configs_of(model)
    before = [config._attn_implementation for config in configs]
    try:
        yield
    finally:
        # The one attribute that set_attn_implementation changes; given a name, it would set all parts to the same.
        for config, implementation in zip(configs, before, strict=True):
            config._attn_implementation_internal = implementation


def _switch(model: PreTrainedModel) -> None:
    """Have the layers look their attention function up under `NAME`."""
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
    """The mask as SDPA takes it, without the padding where that is on the right of a causal mask.

    There the padding is behind every token that could attend to it, so the causal mask alone hides it: a padded batch
    then needs no mask at all (or, with a sliding window, one for all samples), and SDPA takes its fastest kernel. What
    padded positions attend to changes nothing: no token attends to them, and no loss is taken there.

    `allow_is_causal_skip` is how transformers says that the mask is causal and that nothing was added to it.
    """
    if allow_is_causal_skip and settings["q_length"] == settings["kv_length"] and _right_padded(attention_mask):
        attention_mask = None
    return sdpa_mask(attention_mask=attention_mask, allow_is_causal_skip=allow_is_causal_skip, **settings)


def _right_padded(attention_mask: torch.Tensor | None) -> bool:
    """Whether in no sample of a mask [batch, positions] a token follows padding."""
    return attention_mask is not None and not (attention_mask[:, 1:] > attention_mask[:, :-1]).any()
