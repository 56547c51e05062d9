"""The competence of models: the tasks that each model has learnt. Claims about patterns after fine-tuning depend on it.

A model has learnt a task if the lower end of its accuracy after fine-tuning is above chance. If there is no accuracy,
because the task has no gold answers or nothing was evaluated, the loss on its probe set must have fallen.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from headpatterns.claims import answers
from headpatterns.io import read_csv

COLUMNS = (
    *("model", "task", "seed", "state", "items", "accuracy", "low", "high", "chance", "unreadable", "same_answer"),
    *("nll", "nll_low", "nll_high", "likelihood", "likelihood_low", "likelihood_high"),
    *("likelihood_per_token", "likelihood_per_token_low", "likelihood_per_token_high"),
    *("loss_fall", "loss_fall_low", "loss_fall_high", "learnt", "learnt_by", "note"),
)
"""Columns of competence.csv."""

BEFORE, AFTER = "before", "after"
ALL = "all"
"""Used instead of a seed: all seeds."""

ACCURACY, LOSS = "accuracy", "loss"
"""The measures of whether a task was learnt."""

LOSS_FALL = "loss_fall"
"""The effect that decides if there is no accuracy."""

WORDS = {ACCURACY: "accuracy", LOSS: "the fall of the loss"}
NUMBERS = ("accuracy", "low", "high", "chance", "loss_fall", "loss_fall_low", "loss_fall_high")


class Learnt(NamedTuple):
    """Whether a model has learnt a task, by which measure, and in words."""

    is_learnt: bool
    by: str
    words: str


class Competence(NamedTuple):
    """The contents of the tables.

    Attributes:
        tasks: for each model, whether it has learnt each task.
        answers: rows of answers.csv.
    """

    tasks: Mapping[str, Mapping[str, Learnt]]
    answers: Sequence[Mapping[str, str]]

    def of(self, model: str, about: str) -> dict[str, Learnt]:
        """Competence on the task that a number is about, or on all tasks of its model; empty if nothing is known."""
        known = self.tasks.get(model, {})
        return {about: known[about]} if about in known else dict(known)


def is_learnt(accuracy: Sequence[float], chance: float, fall: Sequence[float]) -> tuple[bool, str] | None:
    """Whether a task was learnt and the measure that shows it; None if neither measure is known.

    Args:
        accuracy: after fine-tuning, with the ends of its interval; NaN if there is none.
        chance: the share that is correct without skill.
        fall: decrease of the loss, nats per token, with the ends of its interval; NaN if there is none.
    """
    if not math.isnan(accuracy[0]):
        return accuracy[1] > chance, ACCURACY
    if not math.isnan(fall[0]):
        return (fall[0] if math.isnan(fall[1]) else fall[1]) > 0, LOSS
    return None


def summed_up(known: Mapping[str, Learnt]) -> str:
    """How many of some tasks were learnt, and by which measure, in words."""
    by = [WORDS[name] for name in (ACCURACY, LOSS) if any(one.by == name for one in known.values())]
    learnt, tasks = sum(one.is_learnt for one in known.values()), "task" if len(known) == 1 else "tasks"
    return f"{learnt} of {len(known)} {tasks} by {' or '.join(by)}" if known else ""


def read(competence: Path | None, answered: Path | None = None) -> Competence:
    """The tables competence.csv and answers.csv; None for a table that does not exist.

    Raises:
        InputError: a table lacks a column, or has a word instead of a number.
    """
    tasks: dict[str, dict[str, Learnt]] = {}
    for row in read_csv(competence, COLUMNS) if competence else []:
        if row["learnt"]:
            numbers = {name: float(row[name]) for name in NUMBERS}
            words = _words(row["learnt_by"], numbers)
            tasks.setdefault(row["model"], {})[row["task"]] = Learnt(row["learnt"] == "1", row["learnt_by"], words)
    return Competence(tasks, read_csv(answered, answers.COLUMNS) if answered else [])


def _words(by: str, numbers: Mapping[str, float]) -> str:
    """The measured numbers, in words."""
    shown = {name: f"{number:.2g}" for name, number in numbers.items()}
    if by == ACCURACY:
        return f"accuracy {shown['accuracy']} [{shown['low']}, {shown['high']}], chance {shown['chance']}"
    return f"the loss falls by {shown['loss_fall']} [{shown['loss_fall_low']}, {shown['loss_fall_high']}]"
