"""Figure 5: distance of a pattern from the base model's pattern at each step of fine-tuning."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from headpatterns.presentation import style
from headpatterns.presentation.inputs import RunTable, mean_over_seeds, read_run_table, read_table

TEXT = ("model", "task", "seed", "statistic")
NUMBERS = ("step", "value", "low", "high")
STATISTICS = {
    "correlation": "Pearson correlation\nwith step 0",
    "mse": "mean squared difference\nfrom step 0\n(squared activation level)",
}


def figures(runs: Path, dynamics: Path) -> dict[str, Figure]:
    """`figure5`, from runs.csv and analysis/dynamics.csv.

    Raises:
        InputError: a file cannot be used, or they are not of the same config.
    """
    return {"figure5": draw(read_run_table(runs), read_table(dynamics, TEXT, NUMBERS), dynamics)}


def draw(runs: RunTable, dynamics: pd.DataFrame, source: Path | str = "dynamics.csv") -> Figure:
    """Draw correlation (upper row) and mean squared error (lower row) against the step, one column per model.

    `dynamics` has the columns `TEXT` and `NUMBERS`; seeds are averaged. The axis of steps is logarithmic, with step 0
    at its left end. Errors have a logarithmic axis, which cannot show step 0, where the error is 0 by definition.
    """
    runs = runs.of_study("dynamics")
    models = runs.order("model", dynamics["model"], source)
    tasks = runs.order("task", dynamics["task"], source)
    averaged = mean_over_seeds(dynamics, ("model", "task", "statistic", "step"), ("value", "low", "high"))
    looks = task_looks(runs, tasks)

    left, panel, height, gap = 0.95, float(np.clip(7.6 / len(models), 1.9, 3.4)), 1.75, 0.14
    legend_columns = max(1, min(len(tasks), int((left + panel * len(models)) / 1.45)))
    legend_height = 0.17 * (-(-len(tasks) // legend_columns)) + 0.24
    width = left + (panel + gap) * len(models)
    figure = style.new_figure(width, 0.3 + 2 * height + 0.15 + 0.42 + legend_height)
    for r, (statistic, name) in enumerate(STATISTICS.items()):
        rows = averaged[averaged["statistic"] == statistic]
        limits = value_limits(rows, statistic)
        logarithmic = statistic == "mse" and limits[0] > 0
        for m, model in enumerate(models):
            axes = style.axes_at(figure, left + m * (panel + gap), 0.3 + r * (height + 0.15), panel, height)
            for task in tasks:
                line = rows[
                    (rows["model"] == model) & (rows["task"] == task) & (rows["value"] > 0 if logarithmic else True)
                ]
                draw_line(axes, line.sort_values("step"), looks[task], band=min(0.15, 1.2 / len(tasks)))
            if logarithmic:
                axes.set_yscale("log")
                label_few_decades(axes.yaxis, *limits)
            axes.set_ylim(*limits)
            set_step_axis(axes, averaged.loc[averaged["model"] == model, "step"].to_numpy(float))
            axes.grid(color="#e5e5e5", linewidth=0.5)
            axes.set_axisbelow(True)
            axes.spines[["right", "top"]].set_visible(False)
            if r == 0:
                axes.set_title(runs.model_label(model), size=style.LARGE, weight="bold")
                axes.set_xticklabels([])
            else:
                axes.set_xlabel("step of fine-tuning")
            if m == 0:
                axes.set_ylabel(name)
                axes.yaxis.set_label_coords(-0.45 / panel, 0.5)
            else:
                axes.tick_params(labelleft=False)
    add_legend(figure, runs, looks, legend_columns)
    return figure


def label_few_decades(axis: Axis, low: float, high: float) -> None:
    """Label powers of ten, and for less than two decades also 2 and 5 times these."""
    if high / low >= 100:
        axis.set_minor_locator(NullLocator())
        return
    axis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.set_minor_formatter(FuncFormatter(lambda value, _: re.sub(r"e-0?", "e−", f"{value:.0e}")))


def task_looks(runs: RunTable, tasks: list[str]) -> dict[str, dict[str, Any]]:
    """Colour and marker by task, line style by family."""
    families = list(dict.fromkeys(runs.family(task) for task in tasks))
    return {
        task: {
            "color": style.LINE_COLOURS[i % len(style.LINE_COLOURS)],
            "marker": style.MARKERS[i % len(style.MARKERS)],
            "linestyle": style.LINE_STYLES[families.index(runs.family(task)) % len(style.LINE_STYLES)],
        }
        for i, task in enumerate(tasks)
    }


def value_limits(rows: pd.DataFrame, statistic: str) -> tuple[float, float]:
    """Limits of a row of panels; a lower limit of 0 means that the errors allow no logarithm."""
    numbers = rows[["value", "low", "high"]].to_numpy(float)
    numbers = numbers[np.isfinite(numbers)]
    if statistic == "correlation":
        lowest = min(numbers, default=0.0)
        return lowest - 0.05 * (1 - lowest) - 0.01, 1 + 0.05 * (1 - lowest) + 0.01
    values = rows["value"].to_numpy(float)
    values = values[values > 0]
    if values.size == 0:
        return 0.0, 1.0
    # Bounds far below every estimate (an interval that reaches 0) must not compress the lines.
    lowest = max(numbers[numbers > 0].min(), values.min() / 3)
    return lowest / 1.3, max(numbers.max(), values.max()) * 1.3


def draw_line(axes: Axes, rows: pd.DataFrame, look: dict[str, Any], band: float) -> None:
    """One task's line with its interval as a band of the opacity `band`."""
    axes.fill_between(rows["step"], rows["low"], rows["high"], color=look["color"], alpha=band, linewidth=0)
    axes.plot(
        rows["step"], rows["value"], linewidth=1.2, markersize=3.5, markeredgecolor="white", markeredgewidth=0.4, **look
    )


def set_step_axis(axes: Axes, steps: np.ndarray) -> None:
    """A logarithmic axis from the first saved step on, with step 0 to its left; labels do not overlap."""
    positive = np.unique(steps[steps > 0])
    if positive.size == 0:
        axes.set_xticks([0])
        return
    first, last = positive[0], positive[-1]
    axes.set_xscale("symlog", linthresh=first, linscale=0.6)
    transform = axes.xaxis.get_transform()
    ends = transform.transform(np.array([0.0, last]))
    room = (ends[1] - ends[0]) or 1.0
    chosen = [0.0, last]
    for step in positive[:-1]:
        places = transform.transform(np.array([*chosen, step]))
        if np.abs(places[:-1] - places[-1]).min() > 0.17 * room:
            chosen.append(float(step))
    axes.xaxis.set_major_locator(FixedLocator(sorted(chosen)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    left, right = transform.inverted().transform([ends[0] - 0.04 * room, ends[1] + 0.04 * room])
    axes.set_xlim(left, right)


def add_legend(figure: Figure, runs: RunTable, looks: dict[str, dict[str, Any]], columns: int) -> None:
    """One legend for all panels, below them, in display order; the line styles' families in its title."""
    handles = [
        Line2D([], [], label=runs.task_label(task), linewidth=1.2, markersize=4, **look) for task, look in looks.items()
    ]
    families = {runs.family(task): look["linestyle"] for task, look in looks.items() if runs.family(task)}
    words = dict(zip(style.LINE_STYLES, ("solid", "dashed", "dotted", "dash-dotted"), strict=True))
    title = ";  ".join(f"{words[line]}: {family}" for family, line in families.items()) if len(families) > 1 else None
    figure.legend(
        handles=handles,
        title=title,
        ncols=columns,
        loc="lower center",
        bbox_to_anchor=(0.5, 0.0),
        frameon=False,
        handlelength=3.2,
        columnspacing=1.2,
    )
