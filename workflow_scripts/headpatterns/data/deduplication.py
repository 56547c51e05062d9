"""Which samples are the same item: none of a test may be trained on, under whatever id.

Two items are the same if their prompts are, or if their questions and their options are, in whatever order these stand;
Unicode compatibility forms, case, white space and punctuation do not count.
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
"""What an item is known by: `text` and its whole text, or `question`, the question and its options in order."""


@dataclass(frozen=True)
class Item:
    """One row: its id, its tags, and keys of which the same item under another id has at least one."""

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
    """What identifies an item: its whole text and, whatever their order, the question with all of its options."""
    whole: Key = ("text", comparable(prompt))
    lettered = "".join(f"\n{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
    question, found, rest = prompt.rpartition(lettered) if lettered else ("", "", "")
    if not found:
        return frozenset({whole})
    return frozenset({whole, ("question", comparable(question + rest), *sorted(map(comparable, choices)))})


def comparable(text: str) -> str:
    """`text` without what does not count; a text of nothing else stays as it is.

    This errs towards equality (3.5 and 35 are one): a sample too few to train on costs less than a leaked one.
    """
    text = normalised(text)
    return "".join(character for character in text if _counts(character)) or text


@cache
def _counts(character: str) -> bool:
    """Whether a character is neither punctuation nor white space nor invisible."""
    category = unicodedata.category(character)
    return category[0] not in "PZ" and category not in ("Cc", "Cf")


def same(items: Iterable[Item], others: Iterable[Item]) -> dict[str, str]:
    """Ids of those items that are also among the others, in order, each with an id that it has there."""
    known: dict[Key, str] = {}
    for other in others:
        for key in other.keys:
            known.setdefault(key, other.id)
    return {item.id: min(known[key] for key in item.keys & known.keys()) for item in items if item.keys & known.keys()}
