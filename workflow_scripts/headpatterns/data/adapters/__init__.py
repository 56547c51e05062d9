"""One adapter for each dataset, by name.

Each module says how one dataset's rows, as its authors released them and as the Hugging Face hub has them, become
instructions; which form a row has is seen from its fields.
"""

from collections.abc import Mapping
from typing import Any

from headpatterns.data.adapters import (
    arc,
    codesearchnet,
    generic,
    gsm8k,
    hellaswag,
    infinity_instruct,
    math,
    mathbench,
    mmlu,
    refgpt,
    sgsm,
    winogrande,
)
from headpatterns.data.adapters.adapter import Adapter, resolved
from headpatterns.data.records import nearest
from headpatterns.errors import InputError

ADAPTERS: dict[str, Adapter] = {
    module.__name__.rpartition(".")[2]: module.ADAPTER
    for module in (
        math,
        gsm8k,
        codesearchnet,
        sgsm,
        hellaswag,
        winogrande,
        arc,
        infinity_instruct,
        mathbench,
        refgpt,
        mmlu,
        generic,
    )
}


def resolve_options(adapter: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options with which the adapter `adapter` converts rows.

    Raises:
        InputError: no such adapter, an unknown option, or a value that does not fit.
    """
    if adapter not in ADAPTERS:
        raise InputError(f"There is no adapter {adapter}: {nearest(adapter, ADAPTERS)}.")
    return resolved(adapter, ADAPTERS[adapter], given)
