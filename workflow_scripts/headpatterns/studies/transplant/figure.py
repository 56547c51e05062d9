"""How much of fine-tuning's gain moves with the heads, by their number, into the base model and back."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from headpatterns.presentation import style
from headpatterns.presentation.inputs import RunTable, read_run_table, read_table
from headpatterns.studies.transplant.analysis import ALL, ALL_HEADS, REST
from headpatterns.studies.transplant.moved import DIRECTIONS, RANDOM

TEXT = ("model", "task", "seed", "direction", "ranking")
NUMBERS = ("k", "heads", "value", "low", "high", "least_draw", "largest_draw", "gain")
TITLES = {"transplant": "into the base model", "revert": "taken back from the run"}
RANKINGS = {
    "change": "|change of the pattern|",
    "pattern": "pattern after SFT",
    "effect": "|effect of ablation|",
    "weights": "change of the weights",
    RANDOM: "random heads",
}
PANEL, HEIGHT, GAP, LEFT = 2.3, 1.6, 0.25, 0.75
BAND = "#d9d9d9"


def figures(runs: Path, transplant: Path) -> dict[str, Figure]:
    """`figure_transplant`, from runs.csv and analysis/transplant.csv.

    Raises:
        InputError: a file cannot be used, or the run table lacks a model.
    """
    rows = read_table(transplant, TEXT, NUMBERS)
    return {"figure_transplant": draw(read_run_table(runs), rows[rows["task"] == ALL], transplant)}


def draw(runs: RunTable, rows: pd.DataFrame, source: Path | str = "transplant.csv") -> Figure:
    """Draw a row per model and a column per direction: mean share over tasks and seeds against the number of heads.

    Args:
        runs: the run table, whose study `adaptation` names and orders the models.
        rows: means over tasks, with the columns `TEXT` and `NUMBERS`.
        source: the file of the rows, for error messages.

    Raises:
        InputError: the run table lacks a model.
    """
    runs = runs.of_study("adaptation")
    models = runs.order("model", rows["model"], source)
    row_height = HEIGHT + GAP + 0.2
    figure = style.new_figure(LEFT + 2 * PANEL + GAP, 0.25 + row_height * len(models) + 1.0)
    for m, model in enumerate(models):
        own = rows[rows["model"] == model]
        for d, direction in enumerate(DIRECTIONS):
            top = 0.25 + m * row_height
            axes = style.axes_at(figure, LEFT + d * (PANEL + GAP), top, PANEL, HEIGHT)
            draw_curves(axes, own[own["direction"] == direction])
            axes.set_ylim(*limits(own))
            axes.tick_params(labelleft=d == 0)
            if d == 0:
                axes.set_ylabel(f"{runs.model_label(model)}\nshare of the gain", size=style.SMALL)
            if m == 0:
                axes.set_title(TITLES[direction])
            if m == len(models) - 1:
                axes.set_xlabel("heads moved", size=style.SMALL)
    named = [name for name in RANKINGS if name in set(rows["ranking"])]
    bottom = 1 - (0.25 + row_height * len(models) + 0.2) / figure.get_size_inches()[1]
    handles = [*legend(named), legend_of_rest()]
    figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, bottom), ncols=3, frameon=False)
    return figure


def limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Ends of the axis of shares: 0, 1, and every estimate and draw."""
    shown = rows[["value", "least_draw", "largest_draw"]].to_numpy(float)
    low, high = np.nanmin(shown, initial=0.0), np.nanmax(shown, initial=1.0)
    room = 0.06 * (high - low)
    return float(low - room), float(high + room)


def draw_curves(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the curves of one model and direction from no head to all heads, and a line at the share outside heads."""
    draw_rankings(axes, rows)
    rest = rows[rows["ranking"] == REST].iloc[0]
    axes.axhline(rest["value"], color=style.FAINT, linewidth=0.9, linestyle=style.LINE_STYLES[3], zorder=2)


def draw_rankings(axes: Axes, rows: pd.DataFrame) -> None:
    """The curve of each ranking."""
    for level in (0, 1):
        axes.axhline(level, color=style.FAINT, linewidth=0.5, zorder=0.5)
    whole = rows[rows["ranking"] == ALL_HEADS].iloc[0]
    for number, name in enumerate(RANKINGS):
        line = rows[rows["ranking"] == name].sort_values("k")
        if line.empty:
            continue
        k, value = ([*line[column], whole[column]] for column in ("k", "value"))
        axes.plot(k, value, linewidth=1.1, zorder=3, **look(number, name))
        if name == RANDOM:
            axes.fill_between(line["k"], line["least_draw"], line["largest_draw"], color=BAND, linewidth=0, zorder=1)
        else:
            axes.vlines(line["k"], line["low"], line["high"], color=style.LINE_COLOURS[number], linewidth=0.6, zorder=2)
    axes.set_xscale("log", base=2)
    ticks = sorted({*rows["k"].astype(int)})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.spines[["right", "top"]].set_visible(False)


def look(number: int, name: str) -> dict[str, Any]:
    """Colour, marker and line of a ranking; they stay distinct in greyscale."""
    if name == RANDOM:
        return {"color": style.FAINT, "linestyle": style.LINE_STYLES[2]}
    return {"color": style.LINE_COLOURS[number], "marker": style.MARKERS[number], "markersize": 3}


def legend(named: list[str]) -> list[Line2D]:
    """The legend of the curves."""
    return [Line2D([], [], label=RANKINGS[name], **look(list(RANKINGS).index(name), name)) for name in named]


def legend_of_rest() -> Line2D:
    """The legend of the line."""
    return Line2D([], [], label=REST, color=style.FAINT, linewidth=0.9, linestyle=style.LINE_STYLES[3])
