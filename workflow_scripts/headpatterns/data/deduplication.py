"""Find samples that are the same item, because no item of a test may be trained on, even under another id.

Two items are the same if their prompts are the same, or if their questions and their options are, in any order of the
options. The comparison ignores Unicode compatibility forms, case, white space and punctuation.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from headpatterns.data.adapters.choices import LETTERS
from headpatterns.data.splitting import normalised
from headpatterns.errors import InputError, first_line

Key = tuple[str, ...]
"""Identifies an item: `text` and its whole text, or `question`, the question and its sorted options."""


@dataclass(frozen=True)
class Item:
    """One row: its id, its tags and its keys. The same item under another id shares at least one key."""

    id: str
    tags: frozenset[str]
    keys: frozenset[Key]


def read(path: Path, tagged: bool = False) -> list[Item]:
    """The items of a parquet file of instructions, in its order; without tags unless `tagged`.

    Raises:
        InputError: the file cannot be read, lacks a column or has one of another type, or an id is missing or repeated.
    """
    import pyarrow
    import pyarrow.parquet

    text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
    schema = pyarrow.schema({"id": text, "prompt": text, **({"tags": texts} if tagged else {}), "choices": texts})
    try:
        present = pyarrow.parquet.read_schema(path).names
        missing = [column for column in schema.names if column not in present]
        if missing:
            raise InputError(f"{path} lacks the column {missing[0]!r}: it must have {', '.join(schema.names)}.")
        rows = pyarrow.parquet.read_table(path, columns=schema.names).select(schema.names).cast(schema).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(
            f"{path} cannot be read as a parquet file of instructions ({first_line(error)}): make it again."
        ) from error
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        if row["id"] is None or row["prompt"] is None:
            raise InputError(f"{path}, row {number} has no id or no prompt: give the row both, or remove it.")
        first = seen.setdefault(row["id"], number)
        if first != number:
            raise InputError(
                f"{path}: rows {first} and {number} have the same id {row['id']}: give every row its own id."
            )
    return [
        Item(row["id"], frozenset(row.get("tags") or ()), keys(row["prompt"], row["choices"] or ())) for row in rows
    ]


def keys(prompt: str, choices: Sequence[str]) -> frozenset[Key]:
    """The keys of an item: its whole text, and the question with all of its options in any order."""
    whole: Key = ("text", comparable(prompt))
    lettered = "".join(f"\n{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
    question, found, rest = prompt.rpartition(lettered) if lettered else ("", "", "")
    if not found:
        return frozenset({whole})
    return frozenset({whole, ("question", comparable(question + rest), *sorted(map(comparable, choices)))})


def comparable(text: str) -> str:
    """`text` without the characters that the comparison ignores; a text of only such characters stays as it is.

    The comparison may treat different texts as equal (3.5 and 35): a lost training sample costs less than a leaked one.
    """
    text = normalised(text)
    return "".join(character for character in text if _counts(character)) or text


@cache
def _counts(character: str) -> bool:
    """Whether a character is neither punctuation nor white space nor invisible."""
    category = unicodedata.category(character)
    return category[0] not in "PZ" and category not in ("Cc", "Cf")


def same(items: Iterable[Item], others: Iterable[Item]) -> dict[str, str]:
    """Ids of the items that are also among the others, in order, each with its id there."""
    known: dict[Key, str] = {}
    for other in others:
        for key in other.keys:
            known.setdefault(key, other.id)
    return {item.id: min(known[key] for key in item.keys & known.keys()) for item in items if item.keys & known.keys()}
