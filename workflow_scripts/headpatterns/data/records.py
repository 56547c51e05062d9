"""Rows as they are read, instructions as they are written, and what can be wrong with a row."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One raw row of a dataset.

    `number` counts the rows of its file from 1 and is None where the whole file is the row; `place` is what a message
    shows: `file:line` in files of lines, `file, row n` elsewhere.
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
    the gold answer in its shortest form (a letter, a number), `choices` the texts of the options, () for an open task.
    """

    prompt: str
    response: str
    id: str = ""
    tags: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    answer: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A sound row that the options leave out (another language, another subject); `why` is for the report."""

    why: str


class RowError(Exception):
    """This row cannot become an instruction; the message is the reason under which it is counted."""


class MissingFieldError(RowError):
    """The row lacks a field that its dataset has; `names` are the spellings that would have done."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Keep the names, so that a wrong schema can be told from a single broken row."""
        self.names = names
        super().__init__(f"no field {' or '.join(names)}")


def value(row: Row, *names: str) -> Any:
    """The first of the fields `names` that the row fills; None where it only has empty ones.

    Raises:
        MissingFieldError: the row has none of the fields.
    """
    present = [name for name in names if name in row.fields]
    if not present:
        raise MissingFieldError(names)
    return next((row.fields[name] for name in present if row.fields[name] is not None), None)


def text(row: Row, *names: str) -> str:
    """Like `value`, as stripped text.

    Raises:
        MissingFieldError: the row has none of the fields.
        RowError: the field is empty, or neither text nor a number.
    """
    return as_text(value(row, *names), names[0])


def as_text(found: Any, name: str) -> str:
    """Stripped text of `found`, a string or a number; `name` says in a RowError what was empty or not text."""
    if found is None or found == "":
        raise RowError(f"empty {name}")
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        raise RowError(f"{name} is not text")
    stripped = str(found).strip()
    if not stripped:
        raise RowError(f"empty {name}")
    return stripped


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the most similar valid one, or all of them."""
    names = sorted(names)
    if not names:
        return "there are none"
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"valid are {', '.join(names)}"
