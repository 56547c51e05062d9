"""One adapter for each dataset, by name.

Each module of this folder converts one dataset's rows to instructions. It reads the rows of the authors' release and
those of the Hugging Face hub, and recognises the form of a row by its fields. Every module in this folder is found
automatically: its `ADAPTER` has the module's name.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from typing import Any

from headpatterns.data.adapters import turns
from headpatterns.data.adapters.adapter import Adapter, resolved
from headpatterns.data.records import nearest
from headpatterns.errors import InputError

HELPERS = {"adapter", "choices", "turns"}
"""Modules of this folder that several adapters use, and that are not adapters."""


def found(folders: Iterable[str]) -> dict[str, Adapter]:
    """The adapters of the modules in `folders`, the folders of this package, by name in alphabetical order.

    Raises:
        InputError: a module defines no adapter.
    """
    adapters = {}
    for name in sorted({module.name for module in pkgutil.iter_modules(list(folders))} - HELPERS):
        module = importlib.import_module(f"{__name__}.{name}")
        adapter = getattr(module, "ADAPTER", None)
        if not isinstance(adapter, Adapter):
            raise InputError(
                f"{module.__file__} defines no adapter: define ADAPTER as an Adapter in it, or add {name} to "
                f"HELPERS of {__file__}."
            )
        adapters[name] = adapter
    return adapters


ADAPTERS = found(__path__)
"""Every adapter by its name, which the config states as `adapter`."""


def resolve_options(adapter: str, given: Mapping[str, Any], chat: bool = False) -> dict[str, Any]:
    """The options with which the adapter `adapter` converts rows; `chat` says whether a chat template prints the rows.

    Raises:
        InputError: no such adapter, an unknown option, or a value that does not fit.
    """
    if adapter not in ADAPTERS:
        raise InputError(f"There is no adapter {adapter}: {nearest(adapter, ADAPTERS)}.")
    return turns.resolved(resolved(adapter, ADAPTERS[adapter], given), chat)
