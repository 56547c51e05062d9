"""The level of patterns against the loss during fine-tuning, and the level divided by the loss."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from headpatterns.presentation import style
from headpatterns.presentation.inputs import RunTable, read_run_table, read_table, row_at
from headpatterns.studies.dynamics.figure5 import add_legend, set_step_axis, task_looks

TEXT = ("model", "task", "seed")
NUMBERS = ("step", "loss", "level", "level_over_loss")
SUMMARY_TEXT = ("model", "statistic")
SUMMARY_NUMBERS = ("value", "low", "high")

LEFT, TOP, HEIGHT, GAP, BETWEEN = 0.72, 0.5, 1.9, 0.14, 0.62
"""Inches: margins, height of the panels, and gaps between them."""


def figures(runs: Path, level: Path, summary: Path) -> dict[str, Figure]:
    """`figure_level`, from runs.csv, analysis/level.csv and analysis/level_summary.csv.

    Raises:
        InputError: a file cannot be used, or they are not of the same config.
    """
    rows = read_table(level, TEXT, NUMBERS)
    found = draw(read_run_table(runs), rows, read_table(summary, SUMMARY_TEXT, SUMMARY_NUMBERS), level)
    return {"figure_level": found}


def draw(runs: RunTable, level: pd.DataFrame, summary: pd.DataFrame, source: Path | str = "level.csv") -> Figure:
    """Draw level against loss (upper row) and level over loss against the step (lower row), one column per model.

    `level` has the columns `TEXT` and `NUMBERS`, `summary` has `SUMMARY_TEXT` and `SUMMARY_NUMBERS`. Every run is a
    thin line in the colour of its task; a hollow marker is step 0, and a filled one the last step. Levels and losses
    have logarithmic axes, which cannot show 0. Panels of a row have the same limits.
    """
    runs = runs.of_study("dynamics")
    models = runs.order("model", level["model"], source)
    tasks = runs.order("task", level["task"], source)
    looks = task_looks(runs, tasks)
    shares = summary.set_index(["model", "statistic"])

    panel = float(np.clip(7.6 / len(models), 1.9, 3.4))
    columns = max(1, min(len(tasks), int((LEFT + panel * len(models)) / 1.45)))
    legend = 0.17 * (-(-len(tasks) // columns)) + 0.24
    width = LEFT + (panel + GAP) * len(models)
    figure = style.new_figure(width, TOP + 2 * HEIGHT + BETWEEN + 0.42 + legend)
    limits = {name: positive_limits(level[name]) for name in ("loss", "level", "level_over_loss")}
    for m, model in enumerate(models):
        of_model = level[level["model"] == model]
        for r, (x, y) in enumerate((("loss", "level"), ("step", "level_over_loss"))):
            axes = style.axes_at(figure, LEFT + m * (panel + GAP), TOP + r * (HEIGHT + BETWEEN), panel, HEIGHT)
            draw_runs(axes, of_model, x, y, looks)
            set_log_axis(axes, "y", *limits[y])
            if x == "loss":
                set_log_axis(axes, "x", *limits[x])
                axes.set_title(titled(runs.model_label(model), shares, model), linespacing=1.4)
            else:
                set_step_axis(axes, of_model["step"].to_numpy(float))
            axes.set_xlabel("loss (nats per response token)" if x == "loss" else "step of fine-tuning")
            axes.grid(color="#e5e5e5", linewidth=0.5)
            axes.set_axisbelow(True)
            axes.spines[["right", "top"]].set_visible(False)
            if m == 0:
                axes.set_ylabel("mean level" if r == 0 else "mean level / loss")
                axes.yaxis.set_label_coords(-0.5 / panel, 0.5)
            else:
                axes.tick_params(labelleft=False)
    add_legend(figure, runs, looks, columns)
    return figure


def draw_runs(axes: Axes, rows: pd.DataFrame, x: str, y: str, looks: dict[str, dict[str, Any]]) -> None:
    """Every run of a model as a thin line, its ends marked."""
    for (task, _), run in rows.groupby(["task", "seed"], sort=False):
        run = run.sort_values("step")
        shown = run[(run[y] > 0) & np.isfinite(run[y]) & ((run[x] > 0) | (x == "step"))]
        colour, marker, line = (looks[str(task)][name] for name in ("color", "marker", "linestyle"))
        axes.plot(shown[x], shown[y], linewidth=0.7, color=colour, linestyle=line)
        ends = (
            (shown[shown["step"] == run["step"].min()], "white"),
            (shown[shown["step"] == run["step"].max()], colour),
        )
        for end, inside in ends:
            axes.plot(
                end[x], end[y], linestyle="none", marker=marker, markersize=3.5, markerfacecolor=inside,
                markeredgecolor=colour, markeredgewidth=0.7,
            )  # fmt: skip


def titled(label: str, summary: pd.DataFrame, model: str) -> str:
    """The model's name above correlation and slope within its runs."""
    parts = []
    for statistic, name in (("r", "r"), ("slope", "slope")):
        if (model, statistic) in summary.index:
            row = row_at(summary, (model, statistic))
            parts.append(f"{name} {style.interval(row['value'], row['low'], row['high'])}")
    return "\n".join([label, *parts])


def positive_limits(values: pd.Series) -> tuple[float, float]:
    """Limits of a logarithmic axis that shows all values above 0."""
    positive = values[(values > 0) & np.isfinite(values)].to_numpy(float)
    if positive.size == 0:
        return 0.1, 1.0
    return float(positive.min()) / 1.25, float(positive.max()) * 1.25


def set_log_axis(axes: Axes, name: str, low: float, high: float) -> None:
    """A logarithmic axis `x` or `y` with a few plain labels: 1, 2 and 5 times powers of ten, or only powers."""
    axis = axes.xaxis if name == "x" else axes.yaxis
    axes.set(**{f"{name}scale": "log", f"{name}lim": (low, high)})
    axis.set_major_locator(LogLocator(subs=(1,) if high / low > 100 else (1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick_label(value)))
    axis.set_minor_formatter(NullFormatter())


def tick_label(value: float) -> str:
    """A tick in one significant digit, or in two if needed: short axes have ticks such as 5.5."""
    return style.number(value, 1 if np.isclose(float(f"{value:.0e}"), value, rtol=1e-6) else 2)
