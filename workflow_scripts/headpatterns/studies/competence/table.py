"""The competence of the models as a table: tasks × models, accuracy and likelihood before and after fine-tuning."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from headpatterns.claims.competence import AFTER, ALL, BEFORE
from headpatterns.presentation import style
from headpatterns.presentation.grids import Grid
from headpatterns.presentation.inputs import RunTable, read_run_table, read_table

TEXT = ("model", "model_label", "task", "task_label", "seed", "state", "learnt", "learnt_by", "note")
NUMBERS = (
    *("accuracy", "low", "high", "chance", "nll", "nll_low", "nll_high"),
    *("likelihood", "likelihood_low", "likelihood_high", "loss_fall", "loss_fall_low", "loss_fall_high"),
)
MARKS = {"1": "", "0": " *"}
"""Marks after the numbers of tasks that a model has learnt, and has not learnt."""

Cell = tuple[Mapping[str, pd.Series], str]
"""The rows of a model on a task by state, and the mark of whether it was learnt."""


def tabulate(runs: Path, competence: Path) -> tuple[pd.DataFrame, list[Grid]]:
    """The rows over all seeds with labels, and their grids, from runs.csv and analysis/competence.csv.

    Raises:
        InputError: a file cannot be used, or names a model or task that the run table lacks.
    """
    labels = read_run_table(runs)
    text = [name for name in TEXT if not name.endswith("_label")]
    rows = read_table(competence, text, NUMBERS)
    table = labelled(rows[rows["seed"] == ALL], labels, competence)[[*TEXT, *NUMBERS]]
    return table, grids(table)


def labelled(rows: pd.DataFrame, runs: RunTable, source: Path) -> pd.DataFrame:
    """The rows in display order, with labels of models and tasks."""
    own = runs.of_study("adaptation")
    order = {name: {one: place for place, one in enumerate(own.order(name, rows[name], source))}
             for name in ("model", "task")}  # fmt: skip
    rows = rows.assign(model_label=rows["model"].map(own.model_label), task_label=rows["task"].map(own.task_label))
    return rows.sort_values(["model", "task"], key=lambda found: found.map(order[str(found.name)]), kind="stable")


def grids(table: pd.DataFrame) -> list[Grid]:
    """Accuracy, likelihood of the gold response and, if there are options, accuracy by likelihood."""
    cells: dict[tuple[str, str], Cell] = {}
    for (model, task), rows in table.groupby(["model_label", "task_label"], sort=False):
        states = {str(row["state"]): row for _, row in rows.iterrows()}
        cells[str(task), str(model)] = (states, MARKS.get(states[AFTER]["learnt"], ""))
    found = [
        grid("Accuracy in per cent, before → after [95 % interval]", accuracy, cells, "Chance"),
        grid("NLL of the gold response, nats per token, before → after [95 % interval]", nll, cells),
        grid("Accuracy by likelihood in per cent, before → after [95 % interval]", likelihood, cells, "Chance"),
    ]
    return [one for one in found if one.rows]


def grid(title: str, shown: Callable[[Cell], str], cells: Mapping[tuple[str, str], Cell], chance: str = "") -> Grid:
    """Tasks as rows and models as columns, perhaps with a column of chance; tasks without a number are left out."""
    tasks, models = (list(dict.fromkeys(key[place] for key in cells)) for place in (0, 1))
    rows = []
    for task in tasks:
        own = [cells.get((task, model)) for model in models]
        texts = [shown(cell) if cell else "" for cell in own]
        known = [chance_of(cell) for cell in own if cell]
        if any(texts):
            rows.append([task, *([next(filter(None, known), "")] if chance else []), *texts])
    return Grid(title, [], ["Task"], [*([chance] if chance else []), *models], rows)


def chance_of(cell: Cell) -> str:
    """Chance in per cent; empty if nothing is compared with it."""
    return per_cent(cell[0][AFTER]["chance"])


def accuracy(cell: Cell) -> str:
    """`3 → 54 [41, 66]`, or why there is none; marked if the task was not learnt."""
    states, mark = cell
    after = states[AFTER]
    if np.isnan(after["accuracy"]):
        return f"{after['note']}{mark}"
    return f"{per_cent(states[BEFORE]['accuracy'])} → {with_interval(after, 'accuracy', 'low', 'high')}{mark}"


def likelihood(cell: Cell) -> str:
    """The same for the option with the highest likelihood; empty without options."""
    states, _ = cell
    if np.isnan(states[AFTER]["likelihood"]):
        return ""
    return f"{per_cent(states[BEFORE]['likelihood'])} → {with_interval(states[AFTER], *triple('likelihood'))}"


def nll(cell: Cell) -> str:
    """`1.20 → 0.35 [0.30, 0.41]`; without an evaluation, the decrease of the loss."""
    states, _ = cell
    after = states[AFTER]
    if not np.isnan(after["nll"]):
        before = style.fixed(states[BEFORE]["nll"])
        return f"{before} → {style.interval(*(after[name] for name in triple('nll')))}"
    return f"falls by {style.interval(*(after[name] for name in triple('loss_fall')))}"


def triple(name: str) -> tuple[str, str, str]:
    """The columns of a number and of the ends of its interval."""
    return name, f"{name}_low", f"{name}_high"


def with_interval(row: pd.Series, *names: str) -> str:
    """`54 [41, 66]` in per cent."""
    value, low, high = (per_cent(row[name]) for name in names)
    return f"{value} [{low}, {high}]"


def per_cent(share: float) -> str:
    """A share in per cent; empty if there is none."""
    return "" if np.isnan(share) else f"{100 * share:.0f}"
