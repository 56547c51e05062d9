"""How much of fine-tuning's gain remains if only some heads are trained."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from headpatterns.presentation import style
from headpatterns.presentation.inputs import RunTable, read_run_table, read_table
from headpatterns.studies.transplant.analysis import ALL
from headpatterns.studies.transplant.figure import (
    GAP,
    HEIGHT,
    LEFT,
    NUMBERS,
    PANEL,
    RANKINGS,
    draw_rankings,
    legend,
    limits,
)

TEXT = ("model", "task", "seed", "ranking")
COLUMNS = 2
"""Panels side by side."""


def figures(runs: Path, trained_heads: Path) -> dict[str, Figure]:
    """`figure_trained_heads`, from runs.csv and analysis/trained_heads.csv.

    Raises:
        InputError: a file cannot be used, or the run table lacks a model.
    """
    rows = read_table(trained_heads, TEXT, NUMBERS)
    return {"figure_trained_heads": draw(read_run_table(runs), rows[rows["task"] == ALL], trained_heads)}


def draw(runs: RunTable, rows: pd.DataFrame, source: Path | str = "trained_heads.csv") -> Figure:
    """Draw a panel for each model: the mean share over tasks and seeds against the number of heads.

    Args:
        runs: the run table, whose study `adaptation` names and orders the models.
        rows: means over tasks, with the columns `TEXT` and `NUMBERS`.
        source: the file of the rows, for error messages.

    Raises:
        InputError: the run table lacks a model.
    """
    runs = runs.of_study("adaptation")
    models = runs.order("model", rows["model"], source)
    columns = min(COLUMNS, len(models))
    lines, row_height = -(-len(models) // columns), HEIGHT + 2 * GAP + 0.15
    figure = style.new_figure(columns * (LEFT + PANEL) + GAP, 0.25 + row_height * lines + 0.9)
    for place, model in enumerate(models):
        line, column = divmod(place, columns)
        left, top = LEFT + column * (PANEL + LEFT), 0.25 + line * row_height
        axes = style.axes_at(figure, left, top, PANEL, HEIGHT)
        own = rows[rows["model"] == model]
        draw_rankings(axes, own)
        axes.set_ylim(*limits(own))
        axes.set_title(runs.model_label(model))
        axes.set_xlabel("heads trained", size=style.SMALL)
        if column == 0:
            axes.set_ylabel("share of the gain", size=style.SMALL)
    named = [name for name in RANKINGS if name in set(rows["ranking"])]
    place_of_legend = (0.5, 1 - (0.2 + row_height * lines) / figure.get_size_inches()[1])
    figure.legend(
        handles=legend(named), loc="upper center", bbox_to_anchor=place_of_legend, ncols=1 + columns, frameon=False
    )
    return figure
