"""Table 1: spread and level of the activation patterns over the heads, before and after fine-tuning."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headpatterns.presentation.grids import Grid
from headpatterns.presentation.inputs import RunTable, mean_over_seeds, read_run_table, read_table

NUMBERS = ("value", "low", "high")
TASK_TEXT = ("model", "task", "seed", "state", "statistic")
MODEL_TEXT = ("model", "state", "statistic")
STATES = ("before", "after", "change")
SPREAD = {"gini": "Gini", "cv": "CV", "kurtosis": "Kurtosis"}
LEVEL = {
    "level": "Level",
    "rising": "Share rising",
    "coherence": "Coherence",
    "coherence_floor": "Noise floor",
    "against_base": "r(change, −before)",
}
STATISTICS = {**SPREAD, **LEVEL}
FORMATS = {"kurtosis": ".2f", "level": ".3g"}
"""Formats of statistics; others have three decimals. Levels of models differ by orders of magnitude."""

EXACT = ("coherence_floor",)
"""Statistics without an interval."""


def tabulate(runs: Path, distribution: Path, by_model: Path) -> tuple[pd.DataFrame, list[Grid]]:
    """Table 1 and its grids, from runs.csv, analysis/distribution.csv and analysis/distribution_by_model.csv.

    Raises:
        InputError: a file cannot be used, or they are not of the same config.
    """
    of_tasks = read_table(distribution, TASK_TEXT, NUMBERS)
    table = table1(read_run_table(runs), of_tasks, read_table(by_model, MODEL_TEXT, NUMBERS), distribution)
    return table, table1_grids(table)


def table1(
    runs: RunTable, by_task: pd.DataFrame, by_model: pd.DataFrame, source: Path | str = "distribution.csv"
) -> pd.DataFrame:
    """One row for each model, task and state, in display order; the rows of a model's mean have an empty task.

    `by_task` has the columns `TASK_TEXT` and `NUMBERS` (seeds are averaged here), `by_model` has `MODEL_TEXT` and
    `NUMBERS`. The result has the columns model, model_label, task, task_label, state, then for each statistic its
    name, `<name>_low` and `<name>_high`; values are those of the input, not rounded, and NaN if it has none.
    """
    runs = runs.of_study("adaptation")
    models = runs.order("model", [*by_model["model"], *by_task["model"]], source)
    tasks = runs.order("task", by_task["task"], source)
    averaged = mean_over_seeds(by_task, ("model", "task", "state", "statistic"), NUMBERS)
    found = pd.concat([by_model.assign(task=""), averaged]).set_index(["model", "task", "state", "statistic"])
    rows = []
    for model in models:
        for task in ("", *tasks):
            for state in STATES:
                if not any((model, task, state, statistic) in found.index for statistic in STATISTICS):
                    continue
                row: dict[str, Any] = {
                    "model": model,
                    "model_label": runs.model_label(model),
                    "task": task,
                    "task_label": runs.task_label(task) if task else "mean over tasks",
                    "state": state,
                }
                for statistic in STATISTICS:
                    key = (model, task, state, statistic)
                    values: Iterable[Any] = found.loc[key, list(NUMBERS)] if key in found.index else [np.nan] * 3
                    row.update(zip((statistic, f"{statistic}_low", f"{statistic}_high"), values, strict=True))
                rows.append(row)
    return pd.DataFrame(rows)


def cell(row: pd.Series, statistic: str) -> str:
    """`value [low, high]` in the format of the statistic; empty without a value.

    A change has a sign, except for statistics that are a share or a correlation.
    """
    value, low, high = (row[statistic + ending] for ending in ("", "_low", "_high"))
    if not np.isfinite(value):
        return ""
    sign = "+" if row["state"] == "change" and statistic not in ("rising", "against_base") else ""
    texts = [f"{number:{sign}{FORMATS.get(statistic, '.3f')}}" for number in (value, low, high)]
    shown = np.isfinite(low) and np.isfinite(high) and statistic not in EXACT
    return f"{texts[0]} [{texts[1]}, {texts[2]}]" if shown else texts[0]


def table1_grids(table: pd.DataFrame) -> list[Grid]:
    """Spread and level of the rows of `table1`: the models' means, then every task (left out if there is none)."""
    means, tasks = table[table["task"] == ""], table[table["task"] != ""]
    parts = {"Spread of the activation levels over the heads": SPREAD, "Activation levels and coherence": LEVEL}
    found = []
    for rows, what, groups in ((means, "mean over tasks", ["Model"]), (tasks, "by task", ["Model", "Task"])):
        for title, statistics in parts.items():
            made = grid(rows, f"{title}: {what} [95 % interval]", groups, statistics)
            if made.rows or rows is means:
                found.append(made)
    return found


def grid(rows: pd.DataFrame, title: str, groups: Sequence[str], statistics: Mapping[str, str]) -> Grid:
    """Rows of Table 1 with a column for each statistic that has a value; those by task may fill several pages."""
    shown = {name: header for name, header in statistics.items() if rows[name].notna().any()}
    texts = [
        [row[f"{name.lower()}_label"] for name in groups]
        + [row["state"], *(cell(row, statistic) for statistic in shown)]
        for _, row in rows.iterrows()
    ]
    return Grid(title, list(groups), ["State"], list(shown.values()), texts, long="Task" in groups)
