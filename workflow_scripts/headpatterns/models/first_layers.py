"""A model with only its first layers, for tests whose result does not depend on which layer of a kind is tested."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

T = TypeVar("T")

FEWEST = 2
"""Layers that a model keeps at least, so that what one layer gives is also read by another."""


def on_first_layers(model: "PreTrainedModel", work: Callable[[], T]) -> T:
    """The result of `work` while a model has only its first layers, or with all layers if it fails with fewer."""
    with only_first_layers(model) as fewer:
        if fewer:
            with suppress(Exception):  # some models need all of their layers, and fail in ways of their own
                return work()
    return work()


@contextmanager
def only_first_layers(model: "PreTrainedModel") -> Iterator[bool]:
    """Within the block, a model has only the first layers that contain one layer of every kind.

    Two layers are of one kind if their modules have the same classes and shapes, and the config gives them the same
    entry in `layer_types`. The config still states all layers. A model whose list of layers is not found keeps all of
    them, and so does a mixture of experts: which tokens an expert takes depends on the weights of its layer.

    Yields:
        whether any layer is left out.
    """
    from torch.nn import ModuleList

    path = None if _has_experts(model) else _path(model)
    if path is None:
        yield False
        return
    parent, _, name = path.rpartition(".")
    holder, layers = model.get_submodule(parent), model.get_submodule(path)
    assert isinstance(layers, ModuleList)
    count = _needed(layers, getattr(model.config.get_text_config(), "layer_types", None))
    setattr(holder, name, ModuleList(layers[:count]))
    try:
        yield count < len(layers)
    finally:
        setattr(holder, name, layers)


def _has_experts(model: "PreTrainedModel") -> bool:
    """Whether the config states several experts, under any of the names that architectures give their number."""
    numbers = model.config.get_text_config().to_dict().items()
    return any("experts" in key and isinstance(value, int) and value > 1 for key, value in numbers)


def _path(model: "PreTrainedModel") -> str | None:
    """Name of the only list of modules with as many entries as the model has layers, except for lists in an entry."""
    from torch.nn import ModuleList

    layers: int = model.config.get_text_config().num_hidden_layers
    names = [name for name, module in model.named_modules() if isinstance(module, ModuleList) and len(module) == layers]
    outer = [name for name in names if not any(name.startswith(f"{other}.") for other in names)]
    return outer[0] if len(outer) == 1 else None


def _needed(layers: "torch.nn.ModuleList", types: list[str] | None) -> int:
    """How many of the first layers contain one layer of every kind, and at least `FEWEST`."""
    listed: list[str | None] = [*types] if types and len(types) == len(layers) else [None] * len(layers)
    kinds = [(kind, repr(layer)) for kind, layer in zip(listed, layers, strict=True)]
    return max(FEWEST, *(kinds.index(kind) + 1 for kind in kinds))
