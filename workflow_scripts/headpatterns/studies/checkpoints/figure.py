"""The figures of the study: the pattern at each stage of a chain, by head, by layer, and as a whole."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from headpatterns.presentation import style
from headpatterns.presentation.inputs import RunTable, read_run_table
from headpatterns.studies.checkpoints.analysis import ALL
from headpatterns.studies.checkpoints.chains import Chain, read_chains, read_numbers
from headpatterns.studies.checkpoints.maps import draw_heads, draw_similarity
from headpatterns.studies.dynamics.figure5 import add_legend, task_looks

PANELS = {
    "loss": "loss (nats per token)",
    "level": "mean level",
    "gini": "Gini",
    "kurtosis": "kurtosis",
    "similarity_levels": "r between tasks",
    "pearson": "r with the stage before",
}
"""Statistics of the stages, with the labels of their axes."""

LEFT, PANEL, HEIGHT, GAP = 0.55, 1.35, 1.35, 0.5
"""Inches: margin, width and height of the panels, and gap between them."""


def figures(
    runs: Path, stages: Path, statistics: Path, heads: Path, layers: Path, similarity: Path
) -> dict[str, Figure]:
    """The four figures, from runs.csv and the tables of the analysis.

    Raises:
        InputError: a file cannot be used, or they are not of the same config.
    """
    table, chains = read_run_table(runs).of_study("checkpoints"), read_chains(stages)
    levels = read_numbers(heads)
    tasks = table.order("task", levels["task"], heads)
    return {
        "checkpoints_stages": draw_stages(table, chains, tasks, read_numbers(statistics)),
        "checkpoints_heads": draw_heads(table, chains, tasks, levels),
        "checkpoints_layers": draw_layers(table, chains, tasks, read_numbers(layers)),
        "checkpoints_similarity": draw_similarity(table, chains, tasks, read_numbers(similarity)),
    }


def draw_stages(runs: RunTable, chains: Sequence[Chain], tasks: list[str], statistics: pd.DataFrame) -> Figure:
    """Draw the course of each statistic over the stages: one row per chain, one line per task with its intervals.

    The single line of correlations between tasks is black.
    """
    looks = task_looks(runs, tasks)
    below = 0.72 * max(style.text_width(chain.stages.values()) for chain in chains) + 0.15
    row_height = 0.45 + HEIGHT + below
    columns = max(1, min(len(tasks), 5))
    legend = 0.17 * (-(-len(tasks) // columns)) + 0.24
    width = LEFT + (PANEL + GAP) * len(PANELS)
    figure = style.new_figure(width, row_height * len(chains) + legend)
    for place, chain in enumerate(chains):
        top = place * row_height
        style.text_at(figure, 0, top + 0.12, chain.label, size=style.LARGE, weight="bold", va="center")
        of_chain = statistics[statistics["chain"] == chain.name]
        for column, (statistic, name) in enumerate(PANELS.items()):
            axes = style.axes_at(figure, LEFT + column * (PANEL + GAP), top + 0.42, PANEL, HEIGHT)
            axes.set_title(name)
            rows = course(of_chain[of_chain["statistic"] == statistic], chain, statistic)
            for task in (ALL,) if statistic.startswith("similarity") else tasks:
                draw_course(axes, rows[rows["task"] == task], chain, looks.get(task, {"color": "black", "marker": "o"}))
            set_stages(axes, chain)
    add_legend(figure, runs, looks, columns)
    return figure


def course(rows: pd.DataFrame, chain: Chain, statistic: str) -> pd.DataFrame:
    """The rows of a statistic at the stages, or since the stage before for a correlation between two stages."""
    if statistic != "pearson":
        return rows[rows["since"] == ""]
    return rows[rows["since"] == rows["stage"].map(chain.changes)]


def draw_course(axes: Axes, rows: pd.DataFrame, chain: Chain, look: Mapping[str, Any]) -> None:
    """A line over the stages with bars from low to high."""
    places = rows["stage"].map(list(chain.stages).index).to_numpy(float)
    value, low, high = (rows[name].to_numpy(float) for name in ("value", "low", "high"))
    # The interval of a debiased value may not contain it.
    bars = np.clip(np.stack([value - low, high - value]), 0, None)
    axes.errorbar(places, value, yerr=bars, linewidth=1, markersize=3, elinewidth=0.7, capsize=1.5, **look)


def set_stages(axes: Axes, chain: Chain) -> None:
    """The stages along the lower axis."""
    axes.set_xlim(-0.3, len(chain.stages) - 0.7)
    axes.set_xticks(range(len(chain.stages)), list(chain.stages.values()))
    axes.tick_params(axis="x", rotation=45, rotation_mode="xtick")
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useOffset=False)
    axes.yaxis.get_offset_text().set_fontsize(style.SMALL)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.grid(color="#e5e5e5", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["right", "top"]].set_visible(False)


def draw_layers(runs: RunTable, chains: Sequence[Chain], tasks: list[str], layers: pd.DataFrame) -> Figure:
    """Draw the mean level of each layer: rows are chains, columns are tasks, lines are stages with intervals."""
    row_height = 0.45 + HEIGHT + 0.62
    legends = max(style.text_width(chain.stages.values()) for chain in chains) + 0.5
    figure = style.new_figure(LEFT + (PANEL + GAP) * len(tasks) + legends, row_height * len(chains))
    for place, chain in enumerate(chains):
        top = place * row_height
        style.text_at(figure, 0, top + 0.12, chain.label, size=style.LARGE, weight="bold", va="center")
        for column, task in enumerate(tasks):
            axes = style.axes_at(figure, LEFT + column * (PANEL + GAP), top + 0.42, PANEL, HEIGHT)
            rows = layers[(layers["chain"] == chain.name) & (layers["task"] == task) & (layers["since"] == "")]
            for number, (stage, label) in enumerate(chain.stages.items()):
                draw_levels(axes, rows[rows["stage"] == stage], number, label)
            axes.set_title(style.wrapped(runs.task_label(task), 18))
            axes.set_ylim(bottom=0)
            axes.set_xlabel("layer", labelpad=1)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
            axes.yaxis.get_offset_text().set_fontsize(style.SMALL)
            axes.spines[["right", "top"]].set_visible(False)
            if column == 0:
                axes.set_ylabel("mean level of the heads")
            if column == len(tasks) - 1:
                axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.02, 1))
    return figure


def draw_levels(axes: Axes, rows: pd.DataFrame, number: int, label: str) -> None:
    """The levels of one stage as a line with a band."""
    layer, value, low, high = (rows[name].to_numpy(float) for name in ("layer", "value", "low", "high"))
    colour = style.LINE_COLOURS[number % len(style.LINE_COLOURS)]
    marker = style.MARKERS[number % len(style.MARKERS)]
    axes.plot(layer, value, color=colour, label=label, linewidth=1, marker=marker, markersize=2)
    axes.fill_between(layer, low, high, color=colour, alpha=0.2, linewidth=0)
