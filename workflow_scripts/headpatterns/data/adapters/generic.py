"""Any other dataset, with columns named in the options or in one of two well-known schemas."""

from collections.abc import Mapping
from typing import Any

from headpatterns.data import conversations
from headpatterns.data.adapters import turns
from headpatterns.data.adapters.adapter import Adapter, Option
from headpatterns.data.records import Instruction, Row, RowError, nearest, prompt, value, written
from headpatterns.data.texts import as_written, missing, required, trimmed
from headpatterns.errors import InputError

COLUMNS = ("prompt", "response", "id", "answer", "choices", "tags")


def convert(row: Row, options: Mapping[str, Any]) -> Instruction:
    """Options: `columns`, which maps prompt and response (id, answer, choices, tags) to columns, or `style`.

    Style `alpaca` reads `instruction`, `input` (may be empty or absent) and `output`; style `chat` reads `messages` or
    `conversations`; the option `turns` says how much of them (see `turns.TURNS`). With both styles, a text in the
    column `system` is put before the prompt. If a chat template prints conversations, a `history` of questions and
    answers is put before the instruction. Responses stay as they are written.
    """
    if options["style"] == "alpaca":
        return _alpaca(row, options["turns"])
    if options["style"] == "chat":
        return turns.instruction(row, value(row, *conversations.FIELDS), options["turns"])
    columns = options["columns"]
    return Instruction(
        prompt=prompt(row, columns["prompt"]),
        response=written(row, columns["response"]),
        id=_optional(row, columns, "id"),
        answer=_optional(row, columns, "answer"),
        choices=_listed(row, columns, "choices"),
        tags=_listed(row, columns, "tags"),
    )


def _alpaca(row: Row, which: str) -> Instruction:
    history = row.fields.get("history")
    system, more = (trimmed(as_written(row.fields.get(name), name)) for name in ("system", "input"))
    asked, answer = "\n\n".join(filter(None, [prompt(row, "instruction"), more])), written(row, "output")
    if which == turns.CHAT:
        earlier = [message for pair in _pairs(history) for message in conversations.exchange(*pair)]
        said = [*earlier, *conversations.exchange(asked, answer)]
        return turns.of_messages(conversations.whole(said, system))
    if history:
        raise RowError("history of earlier turns, which the style alpaca does not read")
    return Instruction("\n\n".join(filter(None, [system, asked])), answer)


def _pairs(history: Any) -> list[list[str]]:
    """The questions and answers of a history; empty if it is missing."""
    found = [] if missing(history) else history
    if not isinstance(found, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in found):
        raise RowError("history is not a list of questions and answers")
    return [[as_written(text, "history") for text in pair] for pair in found]


def _optional(row: Row, columns: Mapping[str, str], name: str) -> str:
    found = value(row, columns[name]) if name in columns else None
    return as_written(found, name).strip()


def _listed(row: Row, columns: Mapping[str, str], name: str) -> tuple[str, ...]:
    found = value(row, columns[name]) if name in columns else None
    if missing(found):
        return ()
    entries = found if isinstance(found, list) else [found]
    # A missing option would change the letters of later options, but a missing tag can be left out.
    kept = [one for one in entries if not missing(one)] if name == "tags" else entries
    return tuple(required(one, name).strip() for one in kept)


def _advice(row: Row, options: Mapping[str, Any]) -> str:
    """What to change if the rows lack fields that the options require."""
    style = options["style"]
    others = {
        "alpaca": {"instruction", "output"} <= row.fields.keys(),
        "chat": bool(row.fields.keys() & {*conversations.FIELDS}),
    }
    fitting = next((name for name, fits in others.items() if fits and name != style), None)
    if fitting:
        return f"give the option style: {fitting} instead of columns"
    if turned := next((name for name, found in row.fields.items() if _is_conversation(found)), None):
        return f"rename the field {turned} to {conversations.FIELDS[0]}, which the style chat reads"
    if style is None:
        return "name fields that the rows have in the option columns"
    return f"give the option columns, which names the fields of prompt and response, instead of style: {style}"


def _is_conversation(found: Any) -> bool:
    return isinstance(found, list) and bool(found) and all(isinstance(turn, dict) for turn in found)


def _resolve(options: dict[str, Any]) -> dict[str, Any]:
    columns, style = options["columns"], options["style"]
    if columns is None and style is None:
        raise InputError("The adapter generic needs either the option columns or the option style: give one of them.")
    if columns is not None and style is not None:
        raise InputError(
            "The adapter generic has both options columns and style, but each of them alone says what the fields "
            "of a row are: leave one of them out."
        )
    if options["turns"] is not None and style != "chat":
        raise InputError("The option turns of the adapter generic is only for the style chat: leave it out.")
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
    options={**turns.TURNS, "columns": Option(None, dict), "style": Option(None, str, ("alpaca", "chat"))},
    resolve=_resolve,
    advice=_advice,
)
