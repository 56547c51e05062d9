"""Who is competent: what each model and variant can do of its task, which claims about it depend on.

An accuracy says something only where answers can be read and some are right for a reason; a pattern after fine-tuning
only where the model has learnt its task.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from headpatterns.claims.measured import Found
from headpatterns.evaluation.answers import canonical
from headpatterns.evaluation.intervals import wilson
from headpatterns.evaluation.sets import Item
from headpatterns.io import read_csv

COLUMNS = (
    *("study", "model", "task", "variant", "budget", "runs", "items", "accuracy", "low", "high", "chance"),
    *("unreadable", "loss_fall", "loss_fall_low", "loss_fall_high"),
)
LOSS_FALL = "loss_fall"
"""The effect that says whether a model has learnt its task."""

SCORES = ("study", "model", "variant", "budget", "set", "items", "correct", "unparsed")
NAN = math.nan


class Fall(NamedTuple):
    """How far fine-tuning lowers the loss on the probe set, in nats a token, with its interval."""

    value: float
    low: float
    high: float


class Side(NamedTuple):
    """The answers of a variant: shares of its items, over all of its sets, seeds and draws."""

    name: str
    unreadable: float
    low: float
    chance: float


class Competence(NamedTuple):
    """What the table says.

    Attributes:
        falls: by model and task; the task is empty for all of a model's.
        answers: rows of the table that are about answers.
    """

    falls: Mapping[tuple[str, str], Fall]
    answers: Sequence[Mapping[str, str]]

    def fall(self, model: str, about: str) -> Fall | None:
        """The fall of the loss on one task, or on all of a model's; None where it was not measured."""
        return self.falls.get((model, about), self.falls.get((model, "")))

    def sides(self, study: str, model: str, about: str, variants: Iterable[str]) -> list[Side]:
        """The variants of a study that a comparison is between, each budget for itself; `about` may be a budget."""
        own = [row for row in self.answers if (row["study"], row["model"]) == (study, model)]
        budgets = {row["budget"] for row in own} - {""}
        found = []
        for variant in variants:
            rows = [row for row in own if row["variant"] == variant]
            for budget in dict.fromkeys(row["budget"] for row in rows):
                if not budget or about not in budgets or budget == about:
                    found.append(_side(f"{variant} {budget}".strip(), [r for r in rows if r["budget"] == budget]))
        return found


def chance_of(items: Sequence[Item]) -> float:
    """The share of items that no skill gets right: by guessing, or by one answer to every question if that gets more.

    Guessing gets one over the number of options, and nothing of free text.
    """
    guessed = sum(1 / len(item.choices) for item in items if item.choices)
    answers = Counter(canonical(item.gold, item.choices) for item in items)
    return max(guessed, *answers.values()) / len(items)


def rows(scores: Path | None, chances: Mapping[str, float], effects: Iterable[tuple[str, Found]]) -> Iterator[Any]:
    """Rows of `COLUMNS`: one for each variant and evaluation set, the mean over seeds and draws, and one for each loss.

    Args:
        scores: scores.csv; None where nothing is evaluated.
        chances: share that no skill gets right, by evaluation set; unknown for those of OpenCompass.
        effects: measured effects with their study; those called `loss_fall` are taken.

    Raises:
        InputError: scores.csv cannot be used.
    """
    cells: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in read_csv(scores, SCORES) if scores else []:
        key = tuple(row[name] for name in ("study", "model", "set", "variant", "budget"))
        cells.setdefault(key, []).append(row)
    for key, found in cells.items():
        items, known = int(found[0]["items"]), all(row["correct"] for row in found)
        correct = sum(float(row["correct"]) for row in found) / len(found) if known else NAN
        interval = wilson(round(correct), items) if known else (NAN, NAN)
        readable = all(row["unparsed"] for row in found)
        unreadable = sum(int(row["unparsed"]) for row in found) / (items * len(found)) if readable else NAN
        chance = chances.get(key[2], NAN)
        yield (*key, len(found), items, correct / items, *interval, chance, unreadable, NAN, NAN, NAN)
    for study, one in effects:
        if one.name == LOSS_FALL:
            numbers = (one.effect.estimate, *one.effect.interval())
            yield (study, one.model, one.about, "", "", "", "", NAN, NAN, NAN, NAN, NAN, *numbers)


def read(path: Path) -> Competence:
    """The table.

    Raises:
        InputError: it lacks a column, or holds a word where a number belongs.
    """
    found = read_csv(path, COLUMNS)
    falls = {
        (row["model"], row["task"]): Fall(*(float(row[name]) for name in COLUMNS[-3:]))
        for row in found
        if not math.isnan(float(row["loss_fall"]))
    }
    return Competence(falls, [row for row in found if row["items"]])


def _side(name: str, rows: Sequence[Mapping[str, str]]) -> Side:
    """The sets of a variant together, each as large as it is."""
    items = [int(row["items"]) for row in rows]
    unreadable, accuracy, chance = (
        sum(float(row[column]) * count for row, count in zip(rows, items, strict=True)) / sum(items)
        for column in ("unreadable", "accuracy", "chance")
    )
    low = NAN if math.isnan(accuracy) else wilson(round(accuracy * sum(items)), sum(items))[0]
    return Side(name, unreadable, low, chance)
