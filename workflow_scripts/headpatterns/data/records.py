"""Rows as they are read, instructions as they are written, and errors of rows."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns.data.conversations import Message
from headpatterns.data.texts import RowError as RowError
from headpatterns.data.texts import as_written, key, missing, required, trimmed

LONGEST_NAME = 40
"""Characters of a field's name in a message; without a header, the first row of a file is read as names."""

MOST_NAMES = 8
"""Fields that a message lists; a transposed file has one for each row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One raw row of a dataset.

    `number` counts the rows of its file from 1 and is None if the whole file is the row. `place` is its name in
    messages: `file:line` in files of lines, `file, row n` in others.
    """

    fields: dict[str, Any]
    path: Path
    number: int | None
    place: str


@dataclass(frozen=True, slots=True)
class Instruction:
    """One sample for supervised fine-tuning.

    `id` is the upstream id, or empty until the loader names the sample after its place. `group` is the unit that a
    held-out split keeps together (a repository, a pair of twin sentences); empty means the sample alone. `answer` is
    the gold answer in its shortest form (a letter, a number), and `choices` are the texts of the options, () for an
    open task. `messages` are the whole conversation that a chat template prints; prompt and response are its text.
    """

    prompt: str
    response: str
    id: str = ""
    tags: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    answer: str = ""
    group: str = ""
    messages: tuple[Message, ...] = ()

    @property
    def prompt_key(self) -> bytes:
        """Key that is equal for prompts that count as the same (see `texts.key`)."""
        return key(self.prompt)

    @property
    def content_key(self) -> bytes:
        """Key that is equal for instructions whose prompts and responses both count as the same."""
        return self.prompt_key + key(self.response)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A valid row that the options leave out (another language, another subject); `why` is for the report."""

    why: str


class MissingFieldError(RowError):
    """The row lacks a field that its dataset has; `names` are the accepted names of the field."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Keep the names, to distinguish a wrong schema from a single broken row."""
        self.names = names
        super().__init__(f"no field {' or '.join(names)}")


def value(row: Row, *names: str) -> Any:
    """The value of the first field of `names` that the row fills; None if all of these fields have missing values.

    Raises:
        MissingFieldError: the row has none of the fields.
    """
    present = [name for name in names if name in row.fields]
    if not present:
        raise MissingFieldError(names)
    return next((row.fields[name] for name in present if not missing(row.fields[name])), None)


def text(row: Row, *names: str) -> str:
    """Like `value`, as text without white space around it: a question, a label, the name of something.

    Raises:
        MissingFieldError: the row has none of the fields.
        RowError: the field is missing or not text (see `texts`).
    """
    return as_text(value(row, *names), names[0])


def written(row: Row, *names: str) -> str:
    """Like `text`, with all white space: a response, which may be code.

    Raises:
        MissingFieldError: the row has none of the fields.
        RowError: the field is missing or not text (see `texts`).
    """
    return required(value(row, *names), names[0])


def prompt(row: Row, *names: str) -> str:
    """Like `text`, with its indentation (see `trimmed`): a prompt, which may be code.

    Raises:
        MissingFieldError: the row has none of the fields.
        RowError: the field is missing or not text (see `texts`).
    """
    return trimmed(written(row, *names))


def label(row: Row, *names: str) -> str:
    """Like `text`, for fields that a row may lack: empty if it does.

    Raises:
        RowError: the field is not text (see `texts`).
    """
    found = next((row.fields[name] for name in names if not missing(row.fields.get(name))), None)
    return as_written(found, names[0]).strip()


def as_text(found: Any, name: str) -> str:
    """The text of `found` without white space around it; `name` is the field in a RowError (missing, or not text)."""
    return required(found, name).strip()


def listed(names: Iterable[Any]) -> str:
    """Names for a message, each cut to a readable length; a long list ends with the number of further names."""
    shown = [str(name) for name in names]
    cut = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…" for name in shown[:MOST_NAMES]]
    more = f" and {len(shown) - MOST_NAMES} more" if len(shown) > MOST_NAMES else ""
    return f"{', '.join(cut)}{more}"


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the most similar valid one, or all of them."""
    names = sorted(names)
    if not names:
        return "there are none"
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"valid are {', '.join(names)}"
