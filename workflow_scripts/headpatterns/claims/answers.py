"""The answers of the variants of a comparison: shares of correct and of unreadable answers, and the share of chance.

An accuracy is meaningful only if answers can be read and are correct more often than by chance.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from headpatterns.evaluation.answers import canonical
from headpatterns.evaluation.intervals import wilson
from headpatterns.evaluation.sets import Item
from headpatterns.io import read_csv

COLUMNS = (
    *("study", "model", "task", "variant", "budget", "runs", "items", "accuracy", "low", "high", "chance"),
    "unreadable",
)
MOST_UNREADABLE = 0.2
"""Largest share of unreadable answers on each side."""

SCORES = ("study", "model", "variant", "budget", "set", "items", "correct", "unparsed")
SHOWN_APART = "competence"
"""The study whose answers have their own table."""

NAN = math.nan


class Side(NamedTuple):
    """The answers of a variant: shares of its items, over all of its sets, seeds and draws."""

    name: str
    unreadable: float
    low: float
    chance: float


def chance_of(items: Sequence[Item]) -> float:
    """The share of items that are correct without skill: by guessing, or by one constant answer if that gets more.

    Guessing gets one over the number of options, and 0 for free text. NaN if an item has no gold answer.
    """
    guessed = sum(1 / len(item.choices) for item in items if item.choices)
    answers = Counter(canonical(item.gold, item.choices) for item in items)
    if None in answers:
        return NAN
    return max(guessed, *answers.values()) / len(items)


def rows(scores: Path | None, chances: Mapping[str, float]) -> Iterator[Any]:
    """Rows of `COLUMNS`: one for each variant and evaluation set, the mean over seeds and draws.

    Args:
        scores: scores.csv; None if nothing is evaluated.
        chances: share that is correct without skill, by evaluation set; unknown for those of OpenCompass.

    Raises:
        InputError: scores.csv cannot be used.
    """
    cells: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in read_csv(scores, SCORES) if scores else []:
        key = tuple(row[name] for name in ("study", "model", "set", "variant", "budget"))
        if row["study"] != SHOWN_APART:
            cells.setdefault(key, []).append(row)
    for key, found in cells.items():
        items, known = int(found[0]["items"]), all(row["correct"] for row in found)
        correct = sum(float(row["correct"]) for row in found) / len(found) if known else NAN
        interval = wilson(round(correct), items) if known else (NAN, NAN)
        readable = all(row["unparsed"] for row in found)
        unreadable = sum(int(row["unparsed"]) for row in found) / (items * len(found)) if readable else NAN
        yield (*key, len(found), items, correct / items, *interval, chances.get(key[2], NAN), unreadable)


def sides(
    answers: Iterable[Mapping[str, str]], study: str, model: str, about: str, variants: Iterable[str]
) -> list[Side]:
    """The variants of a study that are compared, with each budget separately; `about` may be a budget.

    Args:
        answers: rows of answers.csv.
        study: the study.
        model: the model.
        about: the subject of the comparison apart from the model.
        variants: the compared variants.
    """
    own = [row for row in answers if (row["study"], row["model"]) == (study, model)]
    budgets = {row["budget"] for row in own} - {""}
    found = []
    for variant in variants:
        of_variant = [row for row in own if row["variant"] == variant]
        for budget in dict.fromkeys(row["budget"] for row in of_variant):
            if not budget or about not in budgets or budget == about:
                found.append(_side(f"{variant} {budget}".strip(), [r for r in of_variant if r["budget"] == budget]))
    return found


def _side(name: str, rows: Sequence[Mapping[str, str]]) -> Side:
    """All sets of a variant together, weighted by their sizes."""
    items = [int(row["items"]) for row in rows]
    unreadable, accuracy, chance = (
        sum(float(row[column]) * count for row, count in zip(rows, items, strict=True)) / sum(items)
        for column in ("unreadable", "accuracy", "chance")
    )
    low = NAN if math.isnan(accuracy) else wilson(round(accuracy * sum(items)), sum(items))[0]
    return Side(name, unreadable, low, chance)
