"""Read the samples of a probe set: the workflow's instructions or a user's own file."""

import hashlib
import json
from pathlib import Path
from typing import Any

from headpatterns.data import conversations, sources, templates
from headpatterns.data.records import listed
from headpatterns.data.texts import RowError, as_written, missing
from headpatterns.data.tokens import TokenizedSample, tokenize_all
from headpatterns.errors import InputError
from headpatterns.io import sha256, write_text


def read(path: Path) -> list[dict[str, Any]]:
    """Rows as `checked` gives them of a file or folder, in order; a missing id is the row's number.

    The formats are those of raw datasets.

    Raises:
        InputError: the file does not exist or has another format, a row lacks a field or repeats an id, or a response
            is empty.
    """
    if not path.exists():
        raise InputError(f"the data file {path} does not exist: fix the path.")
    found = sources.read_rows(sources.expand([path]))
    rows = [checked(row.place, number, row.fields) for number, row in enumerate(found, start=1)]
    if not rows:
        raise InputError(f"{path} has no rows: give a file with rows.")
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        if row["id"] in seen:
            raise InputError(
                f"{path}: rows {seen[row['id']]} and {number} have the same id '{row['id']}': give every row its "
                "own id."
            )
        seen[row["id"]] = number
    return rows


def in_template(path: Path, template: str | None, output: Path) -> Path:
    """A file of the rows of `path` whose prompts are instructions, each in a prompt template.

    Args:
        path: a file or folder of rows.
        template: as `templates.resolve` takes it; `chat` makes a conversation of each row. None returns `path` itself.
        output: file to write (JSON lines).

    Raises:
        InputError: no such template, a row that is a conversation already, or as `read`.
    """
    if template is None:
        return path
    made = rows_in_template(path, template)
    write_text(output, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made))
    return output


def rows_in_template(path: Path, template: str | None) -> list[dict[str, Any]]:
    """The rows that `in_template` writes, or those of `path` as they are; errors as there."""
    rows = read(path)
    if template is None:
        return rows
    resolved = templates.resolve(template)
    return [_in_template(row, resolved, path) for row in rows]


def _in_template(row: dict[str, Any], template: str, path: Path) -> dict[str, Any]:
    if "messages" in row:
        raise InputError(
            f"{path}: the row '{row['id']}' is a conversation, which takes no prompt template: leave the template out."
        )
    if template == templates.CHAT:
        return {**row, "messages": conversations.exchange(row["prompt"], row["response"])}
    prompt, response = templates.apply(template, row["prompt"], row["response"])
    return {**row, "prompt": prompt, "response": response}


def tokenized(
    tokenizer: Any, rows: list[dict[str, Any]], max_length: int, path: Path, skip: bool
) -> tuple[list[TokenizedSample], list[str]]:
    """Tokenized rows, in order, and the ids of rows that were left out.

    A row whose whole response lies beyond `max_length` is an InputError, or is left out with `skip`.
    """
    samples = tokenize_all(tokenizer, rows, max_length)
    without = [sample.id for sample in samples if not sample.response_tokens]
    if without and (not skip or len(without) == len(samples)):
        raise InputError(
            f"{path}: sample '{without[0]}' (and {len(without) - 1} more) has no response token within the "
            f"maximum length of {max_length} tokens: raise it, shorten the prompts, or leave these samples out."
        )
    return [sample for sample in samples if sample.response_tokens], without


def digest(path: Path) -> str:
    """SHA-256 of a file or, for a folder, of the checksums of its files, hexadecimal."""
    if path.is_dir():
        return hashlib.sha256("".join(map(digest, sources.expand([path]))).encode()).hexdigest()
    return sha256(path)


def checked(place: str, number: int, row: Any) -> dict[str, Any]:
    """`id`, `prompt` and `response` of the row with this number, from 1 on, as they are written (see `texts`).

    A row may have `messages` (or `conversations`) instead: a list of turns, or JSON of one. The result then has this
    list under `messages`, and prompt and response as `conversations.as_text` gives them.

    Raises:
        InputError: prompt or response is missing or not text; the response is empty; a conversation cannot be read.
    """
    if not isinstance(row, dict):
        raise InputError(f"{place} is not an object with prompt and response: write one.")
    if turns := next((row[name] for name in conversations.FIELDS if not missing(row.get(name))), None):
        return _conversation(place, number, row, turns)
    for field in ("prompt", "response"):
        if missing(row.get(field)) and not isinstance(row.get(field), str):
            raise InputError(
                f"{place} has no text in the field '{field}' (fields there: {listed(row)}): "
                "every row needs prompt and response."
            )
    if missing(row["response"]):
        raise InputError(f"{place} has an empty response: remove the row, or give it a response.")
    try:
        id, prompt, response = (as_written(row.get(field), field) for field in ("id", "prompt", "response"))
    except RowError as error:
        raise InputError(f"{place} cannot be used ({error}): fix or remove it.") from error
    return {"id": id or str(number), "prompt": prompt, "response": response}


def _conversation(place: str, number: int, row: dict[str, Any], turns: Any) -> dict[str, Any]:
    try:
        messages = conversations.of(turns, row.get("system"))
        id = as_written(row.get("id"), "id")
    except RowError as error:
        raise InputError(f"{place} cannot be used ({error}): fix or remove it.") from error
    prompt, response = conversations.as_text(messages)
    return {"id": id or str(number), "prompt": prompt, "response": response, "messages": messages}
