"""Scores × ablations as a table: rank correlations before and after fine-tuning and for the change."""

from pathlib import Path

import numpy as np
import pandas as pd

from headpatterns.attribution import scores as registry
from headpatterns.presentation import style
from headpatterns.presentation.grids import Grid
from headpatterns.presentation.inputs import read_run_table, read_table
from headpatterns.studies.head_scores.measures import MOVED, SPEARMAN
from headpatterns.studies.validity.ablations import PHASES
from headpatterns.studies.validity.measures import ABSOLUTE, ALL, DIFFERENCE, SIGNED

TEXT = ("model", "task", "seed", "phase", "score", "ablation", "change", "measure")
NUMBERS = ("value", "low", "high", "plain")
COLUMNS = ("model", "model_label", "phase", "score", "score_label", "ablation", "change", "measure", *NUMBERS)
WAYS = {
    ABSOLUTE: "magnitude of the change of the loss",
    SIGNED: "signed change of the loss",
    MOVED: "magnitude of the change of the signed effect",
}
STATES = {**{phase: phase for phase in PHASES}, DIFFERENCE: "change"}


def tabulate(runs: Path, scores: Path) -> tuple[pd.DataFrame, list[Grid]]:
    """Means over tasks and seeds with labels, and a grid for each model and kind of effect.

    Args:
        runs: runs.csv.
        scores: analysis/head_scores.csv.

    Raises:
        InputError: a file cannot be used, or names a model that the run table lacks.
    """
    labels = read_run_table(runs).of_study("adaptation")
    rows = read_table(scores, TEXT, NUMBERS)
    rows = rows[rows["task"] == ALL]
    order = labels.order("model", rows["model"], scores)
    described = registry.found(list(dict.fromkeys(rows["score"])))
    rows = rows.assign(
        model_label=rows["model"].map(labels.model_label),
        score_label=rows["score"].map({name: score.label for name, score in described.items()}),
    )
    rows = rows.sort_values("model", key=lambda found: found.map(order.index), kind="stable")
    return rows[list(COLUMNS)], grids(rows)


def grids(table: pd.DataFrame) -> list[Grid]:
    """A grid for each model and kind of effect: scores × ablations and states, Spearman's correlation."""
    shown = table[table["measure"] == SPEARMAN]
    made = []
    for model, of_model in shown.groupby("model_label", sort=False):
        for way, words in WAYS.items():
            rows = of_model[of_model["change"] == way]
            if len(rows):
                made.append(grid(f"{model}: Spearman's correlation of scores and {words} [95 % interval]", rows))
    return made


def grid(title: str, rows: pd.DataFrame) -> Grid:
    """Scores as rows; ablations, each in every state, as columns. A cell is empty if a score has no number."""
    places = [(ablation, state) for ablation in dict.fromkeys(rows["ablation"]) for state in STATES
              if state in set(rows["phase"])]  # fmt: skip
    keys = zip(rows["score_label"], rows["ablation"], rows["phase"], strict=True)
    found = dict(zip(keys, rows[["value", "low", "high"]].to_numpy(float), strict=True))
    texts = []
    for score in dict.fromkeys(rows["score_label"]):
        own = [found.get((score, *place)) for place in places]
        texts.append([score, *("" if one is None else cell(*one) for one in own)])
    return Grid(title, [], ["Score"], [f"{ablation}, {STATES[state]}" for ablation, state in places], texts)


def cell(value: float, low: float, high: float) -> str:
    """`0.85 [0.80, 0.90]`; a dash without a number."""
    return "–" if np.isnan(value) else style.interval(value, low, high)
