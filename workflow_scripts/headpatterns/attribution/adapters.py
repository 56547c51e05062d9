"""Models whose layers compute attention by themselves: the outputs of their heads are read at the output projection.

A family needs one line: the class of its attention, and the projection in it that receives the concatenated outputs of
all heads, [batch, positions, heads · value size]. The model's own code before it is unchanged: ALiBi, queries that
share a key and a value, layers that compute attention and MLP in parallel, and masks.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from transformers import PreTrainedModel

from headpatterns.attribution.interface import configs_of, restored
from headpatterns.models import loading as models

PROJECTIONS = {
    "BloomAttention": "dense",
    "CodeGenAttention": "out_proj",
    "FalconAttention": "dense",
    "GPTJAttention": "out_proj",
    "GPTNeoSelfAttention": "out_proj",
    "GPTNeoXJapaneseAttention": "dense",
    "MptAttention": "out_proj",
    "XGLMAttention": "out_proj",
}
"""The output projection by class of attention. The second value that each class returns is A, if it is eager."""

Change = Callable[[int, Float[torch.Tensor, "batch positions heads value_size"]], torch.Tensor]
"""Maps a layer's number and the outputs of its heads to outputs that replace them, of the same shape."""

See = Callable[[int, Float[torch.Tensor, "batch heads positions positions"]], None]
"""Receives a layer's number and the attention matrix A from which the layer computed its outputs."""


def fits(model: PreTrainedModel) -> bool:
    """Whether the attention of a model is one of `PROJECTIONS`."""
    return bool(_attentions(model))


@contextmanager
def watched(model: PreTrainedModel, change: Change | None = None, see: See | None = None) -> Iterator[None]:
    """Within the block, each layer of a model that `fits` calls the functions; afterwards the model is as before.

    Raises:
        InputError: the layers of the model have different numbers of heads.
    """
    _, heads = models.heads_of(model)
    with restored(model), ExitStack() as hooks:
        for config in configs_of(model) if see else ():
            # What set_attn_implementation leaves alone where layers do not look their attention up.
            config._attn_implementation_internal = "eager"
        for layer, module in enumerate(_attentions(model)):
            if change:
                projection: Any = getattr(module, PROJECTIONS[type(module).__name__])
                hooks.callback(projection.register_forward_pre_hook(_changing(change, layer, heads)).remove)
            if see:
                hooks.callback(module.register_forward_pre_hook(alibi_once, with_kwargs=True).remove)
                hooks.callback(module.register_forward_hook(_seeing(see, layer)).remove)
        yield


def alibi_once(module: torch.nn.Module, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Falcon's masks hold ALiBi already, for SDPA, and its eager attention would add it once more: a hook before it."""
    if type(module).__name__ == "FalconAttention" and named.get("alibi") is not None:
        named = {**named, "alibi": torch.zeros_like(named["alibi"])}
    return given, named


def _attentions(model: PreTrainedModel) -> list[torch.nn.Module]:
    """The attention of each layer, in their order."""
    return [module for module in model.modules() if type(module).__name__ in PROJECTIONS]


def _changing(change: Change, layer: int, heads: int) -> Callable[..., tuple[torch.Tensor]]:
    def hook(module: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        return (change(layer, given[0].unflatten(2, (heads, -1))).flatten(2),)

    return hook


def _seeing(see: See, layer: int) -> Callable[..., None]:
    def hook(module: torch.nn.Module, given: Any, returned: tuple[Any, ...]) -> None:
        see(layer, returned[1])

    return hook
