"""The answers to the items of the competence study's evaluations, read and checked, and the tasks' rows."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from headpatterns.claims.answers import MOST_UNREADABLE, chance_of
from headpatterns.errors import InputError
from headpatterns.evaluation import answers
from headpatterns.evaluation.sets import Item
from headpatterns.io import read_parquet
from headpatterns.studies.outcomes import Key, by_item

ITEM_COLUMNS = (
    *("model", "run", "set", "id", "answer", "parsed", "correct"),
    *("nll", "tokens", "likeliest", "likeliest_per_token"),
)
ROW_COLUMNS = ("id", "response", "choices", "answer")


@dataclass(frozen=True)
class Task:
    """The probe rows of a task.

    Attributes:
        gold: the canonical gold answer by the item's id; None if there is none to compare.
        chance: share of items that are correct without skill; NaN unless all have a gold answer.
        note: why accuracy is not meaningful here; empty if it is.
    """

    gold: Mapping[str, str | None]
    chance: float
    note: str


def read_task(path: Path) -> Task:
    """The probe rows of a task, from its instructions.

    Accuracy is not meaningful for rows without gold answers, and for rows whose own responses cannot be read as their
    answer, such as programs without a function solution().

    Raises:
        InputError: the file is missing, is not parquet, or lacks a column.
    """
    table = read_parquet(path)
    if missing := [column for column in ROW_COLUMNS if column not in table.column_names]:
        raise InputError(f"{path} lacks the column '{missing[0]}': prepare the instructions again.")
    rows = table.select(ROW_COLUMNS).to_pylist()
    items = [Item(str(row["id"]), "", row["answer"] or "", tuple(row["choices"] or ())) for row in rows]
    gold = {item.id: answers.canonical(item.gold, item.choices) for item in items}
    known = sum(one is not None for one in gold.values())
    if known < len(items):
        note = f"gold answers for only {known} of {len(items)} items" if known else "no gold answers"
        return Task(gold, np.nan, note)
    unread = sum(answers.read(row["response"], item.gold, item.choices) != gold[item.id]
                 for row, item in zip(rows, items, strict=True))  # fmt: skip
    note = "responses whose own answers cannot be read" if unread > MOST_UNREADABLE * len(items) else ""
    return Task(gold, chance_of(items), note)


@dataclass(frozen=True)
class Answers:
    """The answers of one checkpoint to the items of a set, in the order of their ids.

    Attributes:
        ids: of the items.
        answer: the answer that was read; empty if none could be read.
        correct: 1 if it is correct, otherwise 0, and NaN without a gold answer.
        parsed: 1 if an answer was read, otherwise 0, and NaN if none was generated.
        nll: negative log-likelihood of the gold response, nats per token.
        likeliest, likeliest_per_token: letter of the option with the highest likelihood; empty without options.
    """

    ids: tuple[str, ...]
    answer: tuple[str, ...]
    correct: Float[np.ndarray, " items"]
    parsed: Float[np.ndarray, " items"]
    nll: Float[np.ndarray, " items"]
    likeliest: tuple[str, ...]
    likeliest_per_token: tuple[str, ...]

    @property
    def same(self) -> float:
        """Share of the items with the most frequent answer."""
        counts = Counter(filter(None, self.answer))
        return max(counts.values(), default=0) / len(self.ids)


def read_answers(paths: Sequence[Path], wanted: Iterable[Key]) -> dict[Key, Answers]:
    """The wanted evaluations from the tables of items.

    Raises:
        InputError: as `outcomes.by_item`, or an item has an impossible number.
    """
    found = by_item(paths, wanted, ITEM_COLUMNS, _checked)
    return {key: _answers(list(rows.values())) for key, rows in found.items()}


def _checked(row: Mapping[str, str], where: str) -> Mapping[str, str]:
    for column in ("correct", "parsed"):
        if row[column] not in ("0", "1", ""):
            raise InputError(f"{where}: {column} is {row[column]!r}, not 0 or 1: evaluate again.")
    try:
        fits = float(row["nll"]) >= 0 and int(row["tokens"]) > 0
    except ValueError:
        fits = False
    if not fits:
        raise InputError(
            f"{where}: nll is {row['nll']!r} for {row['tokens']!r} tokens, not a number of nats for one token or more: "
            "evaluate again."
        )
    return row


def _answers(rows: Sequence[Mapping[str, str]]) -> Answers:
    marks = {column: np.array([float(row[column] or np.nan) for row in rows]) for column in ("correct", "parsed")}
    return Answers(
        ids=tuple(row["id"] for row in rows),
        answer=tuple(row["answer"] for row in rows),
        **marks,
        nll=np.array([float(row["nll"]) / int(row["tokens"]) for row in rows]),
        likeliest=tuple(row["likeliest"] for row in rows),
        likeliest_per_token=tuple(row["likeliest_per_token"] for row in rows),
    )
