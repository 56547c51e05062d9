"""Evaluation sets: the items of an instructions file that have a gold answer to be compared with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns.data import training_sets
from headpatterns.errors import InputError
from headpatterns.evaluation import answers
from headpatterns.io import read_parquet

COLUMNS = ("id", "prompt", "choices", "answer")


@dataclass(frozen=True)
class Item:
    """One question: the exact prompt, the gold answer as its dataset gives it, the options' texts or ()."""

    id: str
    prompt: str
    gold: str
    choices: tuple[str, ...]


def read_given(given: Sequence[str]) -> tuple[str, list[Item]]:
    """Name and items of a set from the words of an option: NAME PARQUET, and perhaps an IDS_CSV.

    Raises:
        InputError: another number of words, or as `read`.
    """
    if len(given) not in (2, 3):
        raise InputError(f"--set {' '.join(given)}: give NAME PARQUET or NAME PARQUET IDS_CSV.")
    name, *files = given
    return name, read(*map(Path, files))


def read(parquet: Path, ids: Path | None = None) -> list[Item]:
    """The items of an instructions file in its order, or those whose ids a CSV `dataset,id` names.

    Raises:
        InputError: no such file, another format, an id that the file lacks, an item without a gold answer that can be
            compared, or no item at all.
    """
    rows = _rows(parquet)
    if ids:
        wanted = {id for _, id in training_sets.read(ids)}
        if missing := sorted(wanted - {row["id"] for row in rows}):
            raise InputError(
                f"{ids} names the id '{missing[0]}' (and {len(missing) - 1} more) that {parquet} does not have: "
                "make both from the same instructions."
            )
        rows = [row for row in rows if row["id"] in wanted]
    if not rows:
        raise InputError(f"{ids or parquet} holds no item to evaluate: give an evaluation set at least one.")
    return [_item(row, parquet) for row in rows]


def _rows(parquet: Path) -> list[dict[str, Any]]:
    if not parquet.is_file():
        raise InputError(f"the instructions file {parquet} does not exist: make it with prepare_instructions.py.")
    table = read_parquet(parquet)
    if missing := [column for column in COLUMNS if column not in table.column_names]:
        raise InputError(f"{parquet} lacks the column '{missing[0]}': an instructions file has {', '.join(COLUMNS)}.")
    rows: list[dict[str, Any]] = table.select(COLUMNS).to_pylist()
    return rows


def _item(row: dict[str, Any], parquet: Path) -> Item:
    item = Item(str(row["id"]), row["prompt"] or "", row["answer"] or "", tuple(row["choices"] or ()))
    if not item.prompt.strip():
        raise InputError(f"{parquet}: the item '{item.id}' has no prompt: fix that row.")
    if answers.canonical(item.gold, item.choices) is None:
        what = f"the gold answer '{item.gold}', none of its options" if item.gold and item.choices else "no gold answer"
        raise InputError(
            f"{parquet}: the item '{item.id}' has {what}: evaluate only sets whose every item has an answer to compare."
        )
    return item
