"""The definition of an adapter: it converts rows of one dataset, from its raw release or the hub, to instructions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headpatterns.data.records import Instruction, Row, Skipped, nearest
from headpatterns.errors import InputError

KINDS = {str: "a text", bool: "true or false", list: "a list of texts", dict: "a mapping"}


@dataclass(frozen=True)
class Option:
    """One option of an adapter: its default, its type and, if they are restricted, the allowed values."""

    default: Any
    kind: type[Any]
    allowed: tuple[str, ...] = ()


def _unchanged(options: dict[str, Any]) -> dict[str, Any]:
    return options


@dataclass(frozen=True)
class Adapter:
    """How one dataset is read.

    convert: maps a row and the resolved options to an Instruction, or to Skipped if the options leave the row out;
        raises RowError (MissingFieldError) for a row that cannot be used.
    options: the options by name.
    csv_columns: column names of CSV files that have no header.
    advice: maps a row without a needed field, and the resolved options, to what to change; it ends a sentence.
    resolve: checks options against each other and computes once what `convert` needs from them.
    """

    convert: Callable[[Row, Mapping[str, Any]], Instruction | Skipped]
    options: Mapping[str, Option] = field(default_factory=dict)
    csv_columns: tuple[str, ...] | None = None
    resolve: Callable[[dict[str, Any]], dict[str, Any]] = _unchanged
    advice: Callable[[Row, Mapping[str, Any]], str] | None = None


def resolved(name: str, adapter: Adapter, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of the adapter `name`: given ones are checked, and others have their defaults; None means default.

    Raises:
        InputError: an unknown option, or a value of the wrong type or outside the allowed ones.
    """
    options = {key: option.default for key, option in adapter.options.items()}
    for key, value in given.items():
        if key not in adapter.options:
            raise InputError(f"The adapter {name} has no option {key}: {nearest(str(key), adapter.options)}.")
        if value is not None:
            options[key] = _checked(name, key, value, adapter.options[key])
    return adapter.resolve(options)


def _checked(name: str, key: str, value: Any, option: Option) -> Any:
    if not isinstance(value, option.kind):
        raise InputError(
            f"The option {key} of the adapter {name} must be {KINDS[option.kind]}, not {value!r}: correct it."
        )
    if isinstance(value, list) and not (value and all(isinstance(one, str) for one in value)):
        raise InputError(f"The option {key} of the adapter {name} must be a list of texts, not {value!r}: correct it.")
    listed: list[Any] = value if isinstance(value, list) else [value]
    for one in listed:
        if option.allowed and one not in option.allowed:
            raise InputError(
                f"The option {key} of the adapter {name} cannot be {one}: {nearest(str(one), option.allowed)}."
            )
    return value
