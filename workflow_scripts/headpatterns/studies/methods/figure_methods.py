"""Agreement of the changes of two runs that differ in method, seed or task."""

from collections.abc import Hashable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headpatterns.presentation import style
from headpatterns.presentation.inputs import RunTable, read_run_table, read_table
from headpatterns.studies.methods.agreement import END, METHOD, SAME_LOSS, SEED, TASK

TEXT = ("model", "differ_in", "group", "task", "other_group", "other_task", "read_at", "statistic")
NUMBERS = ("seed", "other_seed", "value", "low", "high")
ROW, HEAD, PANEL, GAP, FOOT = 0.3, 0.24, 2.6, 0.14, 0.78  # inches
LOOKS = {METHOD: ("o", style.LINE_COLOURS[0]), SEED: ("s", style.LINE_COLOURS[1]), TASK: ("^", style.LINE_COLOURS[2])}
PANELS = {
    "correlation": "correlation of the changes over heads",
    "partial_correlation": "partial correlation, given the base's pattern",
}
"""The statistic of each panel, and its axis."""

BOUND = 0.5


def figures(runs: Path, methods: Path) -> dict[str, Figure]:
    """`figure_methods`, from runs.csv and analysis/methods.csv.

    Raises:
        InputError: a file cannot be used, or they are not of the same config.
    """
    rows = read_table(methods, TEXT, NUMBERS)
    return {"figure_methods": draw(read_run_table(runs), rows, methods)}


def draw(runs: RunTable, rows: pd.DataFrame, source: Path | str = "methods.csv") -> Figure:
    """Draw two panels for each model, and a row for each combination of what two runs differ in and what they share.

    Args:
        runs: the run table.
        rows: rows of methods.csv, with the columns `TEXT` and `NUMBERS`.
        source: the file that they are from, for messages.
    """
    runs = runs.of_study("methods")
    models = runs.order("model", rows["model"], source)
    rows = rows.assign(line=[line_of(runs, row) for row in rows.to_dict("records")])
    lines = list(dict.fromkeys(line for kind in LOOKS for line in rows.loc[rows["differ_in"] == kind, "line"]))
    left, height = style.text_width(lines) + 0.12, ROW * len(lines)
    panels = [(model, statistic) for model in models for statistic in PANELS]
    figure = style.new_figure(left + (PANEL + GAP) * len(panels), HEAD + height + FOOT)
    for place, (model, statistic) in enumerate(panels):
        axes = style.axes_at(figure, left + place * (PANEL + GAP), HEAD, PANEL, height)
        axes.set_title(style.wrapped(runs.model_label(model), 40))
        own = rows[(rows["model"] == model) & (rows["statistic"] == statistic)]
        for line, name in enumerate(lines):
            draw_line(axes, own[own["line"] == name], line)
        finish(axes, lines if place == 0 else [""] * len(lines))
        axes.set_xlabel(PANELS[statistic])
    figure.legend(handles=legend(), loc="lower center", ncols=len(legend()), frameon=False)
    return figure


def line_of(runs: RunTable, row: Mapping[Hashable, str]) -> str:
    """What two runs differ in, and what they share."""
    match row["differ_in"]:
        case "method":
            return f"{row['group']} and {row['other_group']}: {runs.task_label(row['task'])}"
        case "seed":
            return f"two seeds, {row['group']}: {runs.task_label(row['task'])}"
        case _:
            return f"two tasks, {row['group']}: {runs.task_label(row['task'])}, {runs.task_label(row['other_task'])}"


def draw_line(axes: Axes, rows: pd.DataFrame, line: int) -> None:
    """The pairs of a row, spread over its height."""
    for read_at, start in ((SAME_LOSS, 0.28), (END, 0.6)):
        found = rows[rows["read_at"] == read_at]
        for (_, row), shift in zip(found.iterrows(), np.linspace(0, 0.2, max(len(found), 2)), strict=False):
            marker, colour = LOOKS[str(row["differ_in"])]
            y = line + start + shift
            axes.hlines(y, row["low"], row["high"], color=colour, linewidth=1.0, zorder=3)
            axes.plot(row["value"], y, marker=marker, markersize=3.8, color=colour, linestyle="", zorder=4,
                      markerfacecolor=colour if read_at == SAME_LOSS else "white", markeredgewidth=0.8)  # fmt: skip


def finish(axes: Axes, lines: list[str]) -> None:
    """Scales, labels and the lines between rows."""
    lowest = min(0.0, *(float(x) for one in axes.get_lines() for x in np.atleast_1d(one.get_xdata())))
    axes.set_ylim(len(lines), 0)
    axes.set_yticks([line + 0.5 for line in range(len(lines))], lines)
    axes.set_xlim(min(-0.05, lowest - 0.1), 1.05)
    axes.axvline(BOUND, color=style.FAINT, linewidth=0.8, linestyle="--", zorder=1)
    axes.tick_params(axis="y", size=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    for line in range(1, len(lines)):
        axes.axhline(line, color="#ececec", linewidth=0.5, zorder=1)
    axes.set_axisbelow(True)
    axes.spines[["left", "right", "top"]].set_visible(False)


def legend() -> list[Line2D]:
    """The meaning of filled and hollow marks; the rows explain the colours."""
    return [Line2D([], [], color=style.FAINT, marker="o", markersize=4, linewidth=1,
                   markerfacecolor=style.FAINT if read_at == SAME_LOSS else "white",
                   label="at the same loss" if read_at == SAME_LOSS else "after the last step")
            for read_at in (SAME_LOSS, END)]  # fmt: skip
