"""Any other dataset: columns named in the options, or one of two well-known schemas."""

from collections.abc import Mapping
from typing import Any

from headpatterns.data.adapters.adapter import Adapter, Option
from headpatterns.data.adapters.turns import first_exchange
from headpatterns.data.records import Instruction, Row, nearest, text, value
from headpatterns.errors import InputError

COLUMNS = ("prompt", "response", "id", "answer", "choices", "tags")


def convert(row: Row, options: Mapping[str, Any]) -> Instruction:
    """Options: `columns`, which maps prompt and response (id, answer, choices, tags) to columns, or `style`.

    Style `alpaca` reads `instruction`, `input` (may be empty or absent) and `output`; style `chat` the first exchange
    of `messages` or `conversations`.
    """
    if options["style"] == "alpaca":
        parts = [text(row, "instruction"), str(row.fields.get("input") or "").strip()]
        return Instruction("\n\n".join(filter(None, parts)), text(row, "output"))
    if options["style"] == "chat":
        return Instruction(*first_exchange(value(row, "messages", "conversations")))
    columns = options["columns"]
    return Instruction(
        prompt=text(row, columns["prompt"]),
        response=text(row, columns["response"]),
        id=_optional(row, columns, "id"),
        answer=_optional(row, columns, "answer"),
        choices=_listed(row, columns, "choices"),
        tags=_listed(row, columns, "tags"),
    )


def _optional(row: Row, columns: Mapping[str, str], name: str) -> str:
    found = value(row, columns[name]) if name in columns else None
    return "" if found is None else str(found).strip()


def _listed(row: Row, columns: Mapping[str, str], name: str) -> tuple[str, ...]:
    found = value(row, columns[name]) if name in columns else None
    return tuple(map(str, found if isinstance(found, list) else [] if found is None else [found]))


def _resolve(options: dict[str, Any]) -> dict[str, Any]:
    columns, style = options["columns"], options["style"]
    if (columns is None) == (style is None):
        raise InputError("The adapter generic needs either the option columns or the option style: give one of them.")
    for name, column in (columns or {}).items():
        if name not in COLUMNS:
            raise InputError(f"The option columns of the adapter generic has no key {name}: {nearest(name, COLUMNS)}.")
        if not isinstance(column, str):
            raise InputError(f"The option columns of the adapter generic maps {name} to {column!r}: name a column.")
    if columns is not None and not {"prompt", "response"} <= columns.keys():
        raise InputError("The option columns of the adapter generic must name the columns of prompt and response.")
    return options


ADAPTER = Adapter(
    convert,
    options={"columns": Option(None, dict), "style": Option(None, str, ("alpaca", "chat"))},
    resolve=_resolve,
)
