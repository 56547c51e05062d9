"""Winogrande: a sentence with a blank and two candidates for it; answers are 1 and 2."""

from collections.abc import Mapping
from typing import Any

from headpatterns.data.adapters.adapter import Adapter
from headpatterns.data.adapters.choices import OPTIONS, multiple_choice, position, resolve
from headpatterns.data.records import Instruction, MissingFieldError, Row, RowError, label, text
from headpatterns.data.sources import companion_labels, stem


def convert(row: Row, options: Mapping[str, Any]) -> Instruction:
    """The blank stays in the sentence as `_`. Twin sentences, recognised by their qID, form a group.

    Hub rows have no qID. Twins have the same two candidates, so hub rows with the same candidates form a group.
    """
    sentence = text(row, "sentence")
    if "_" not in sentence:
        raise RowError("sentence without a blank")
    candidates = [text(row, "option1"), text(row, "option2")]
    name = label(row, "qID")
    return multiple_choice(
        f"{'Which option' if options['listed'] else 'What'} fills the blank (_)?\n{sentence}",
        candidates,
        position(_answer(row), first=1),
        options,
        id=name,
        group=name.rpartition("-")[0] or " / ".join(sorted(candidate.casefold() for candidate in candidates)),
    )


def _answer(row: Row) -> Any:
    """The row's answer, or its label in the companion file if rows have no answers."""
    if "answer" in row.fields:
        return row.fields["answer"]
    labels = companion_labels(row.path)
    if labels is None or row.number is None:
        raise MissingFieldError(("answer", f"label in {stem(row.path)}-labels.lst"))
    return labels[row.number - 1]


ADAPTER = Adapter(convert, options=OPTIONS, resolve=resolve)
