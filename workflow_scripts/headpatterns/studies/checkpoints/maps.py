"""Heat maps of the chains: patterns by layer and head, and correlations between tasks."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from headpatterns.presentation import style
from headpatterns.presentation.inputs import RunTable
from headpatterns.studies.adaptation import figure1, figure2
from headpatterns.studies.checkpoints.chains import Chain

PANEL, GAP = 1.0, 0.1
"""Inches: width of a heat map, and gap between two."""

BLOCK = 0.35
"""Inches between levels and changes."""


def draw_heads(runs: RunTable, chains: Sequence[Chain], tasks: list[str], levels: pd.DataFrame) -> Figure:
    """Draw patterns at each stage and their changes to the next: one block of rows per chain, one row per task.

    Colours are those of Figure 1. Levels of a row share their scale, and so do changes.
    """
    labels = [style.wrapped(runs.task_label(task), 16) for task in tasks]
    left = style.text_width(labels, style.MEDIUM) + 0.5
    most = max(len(chain.stages) for chain in chains)
    width = left + (2 * most - 1) * (PANEL + GAP) + BLOCK
    row_height = PANEL + 0.26
    block = 0.62 + row_height * len(tasks) + 0.3
    figure = style.new_figure(width, block * len(chains) + 0.75)
    for place, chain in enumerate(chains):
        top = place * block
        style.text_at(figure, 0, top + 0.12, chain.label, size=style.LARGE, weight="bold", va="center")
        of_chain = levels[levels["chain"] == chain.name]
        for row, (task, label) in enumerate(zip(tasks, labels, strict=True)):
            down = top + 0.62 + row * row_height
            style.text_at(figure, left - 0.42, down + PANEL / 2, label, ha="right", va="center")
            of_task = of_chain[of_chain["task"] == task]
            draw_row(figure, chain, of_task, (left, down), first=row == 0, last=row == len(tasks) - 1)
    figure1.add_colour_bars(figure, left, block * len(chains) + 0.05, min(width - left - GAP, 6.0))
    return figure


def draw_row(
    figure: Figure, chain: Chain, rows: pd.DataFrame, corner: tuple[float, float], *, first: bool, last: bool
) -> None:
    """The maps of one task: levels of all stages, then changes since the stage before."""
    left, top = corner
    numbers = sorted(rows["layer"].astype(int).unique())
    shown = [(stage, "", label) for stage, label in chain.stages.items()]
    shown += [
        (stage, since, f"{chain.stages[stage]} − {chain.stages[since]}") for stage, since in chain.changes.items()
    ]
    grids = [figure1.grid(rows[(rows["stage"] == stage) & (rows["since"] == since)]) for stage, since, _ in shown]
    count = len(chain.stages)
    scales = [figure1.largest([*grids[:count]]), figure1.largest([*grids[count:]])]
    for place, ((_, since, label), values) in enumerate(zip(shown, grids, strict=True)):
        across = left + place * (PANEL + GAP) + (BLOCK if since else 0)
        axes = style.axes_at(figure, across, top, PANEL, PANEL)
        scale = scales[int(bool(since))]
        figure1.show(axes, values, scale, numbers, signed=bool(since))
        if place in (0, count):
            sign = "±" if since else "≤"
            axes.set_title(f"{sign} {style.number(scale)}", size=style.SMALL, loc="left", color=style.FAINT)
        if place == 0:
            axes.set_ylabel("layer", size=style.SMALL, labelpad=1)
        else:
            axes.set_yticks([])
        if last:
            axes.set_xlabel("head", size=style.SMALL, labelpad=1)
        else:
            axes.set_xticklabels([])
        if first:
            text = style.wrapped(label, 16)
            style.text_at(figure, across + PANEL / 2, top - 0.2, text, size=style.SMALL, ha="center", va="bottom")


def draw_similarity(runs: RunTable, chains: Sequence[Chain], tasks: list[str], cells: pd.DataFrame) -> Figure:
    """Draw correlations between tasks at each stage, and of the change rates to the next: one row per chain."""
    labels = [runs.task_label(task) for task in tasks]
    left, side = style.text_width(labels) + 0.15, max(1.35, 0.3 * len(tasks))
    below = 0.72 * style.text_width(labels) + 0.2
    most = max(len(chain.stages) for chain in chains)
    block = 0.75 + side + below
    figure = style.new_figure(left + (2 * most - 1) * (side + GAP) + BLOCK, block * len(chains) + 0.55)
    for place, chain in enumerate(chains):
        top = place * block
        style.text_at(figure, 0, top + 0.12, chain.label, size=style.LARGE, weight="bold", va="center")
        shown = [(stage, "", "levels", label) for stage, label in chain.stages.items()]
        shown += [
            (stage, since, "change_rate", f"change rate,\n{chain.stages[since]} → {chain.stages[stage]}")
            for stage, since in chain.changes.items()
        ]
        of_chain = cells[cells["chain"] == chain.name]
        for column, (stage, since, matrix, title) in enumerate(shown):
            across = left + column * (side + GAP) + (BLOCK if since else 0)
            axes = style.axes_at(figure, across, top + 0.62, side, side)
            found = of_chain[
                (of_chain["stage"] == stage) & (of_chain["since"] == since) & (of_chain["matrix"] == matrix)
            ]
            square = found.pivot(index="task_a", columns="task_b", values="value").reindex(index=tasks, columns=tasks)
            figure2.draw_matrix(axes, square, len(tasks) <= figure2.MOST_WITH_VALUES)
            axes.set_title(title, size=style.SMALL)
            axes.set_yticks(np.arange(len(tasks)) + 0.5, labels if column == 0 else [])
            axes.set_xticks(np.arange(len(tasks)) + 0.5, labels)
            axes.tick_params(axis="x", rotation=45, rotation_mode="xtick")
            axes.tick_params(size=0, pad=2)
    bar = style.axes_at(figure, left, block * len(chains) + 0.1, 2.5, 0.1)
    style.colour_bar(bar, style.SIGNED, -1, 1, "correlation between tasks", ticks=[-1, -0.5, 0, 0.5, 1])
    return figure
