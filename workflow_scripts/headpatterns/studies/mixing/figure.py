"""The figure of the coefficients of basic tasks in a complex task's change, and of the best tasks' mixture (§5.1)."""

from collections.abc import Collection, Mapping
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from headpatterns.errors import InputError
from headpatterns.presentation import style
from headpatterns.presentation.inputs import RunTable, mean_over_seeds, read_table

VARIANT_TEXT = ("study", "model", "model_label")
TEXT = ("model", "seed", "task")
NUMBERS = ("beta", "low", "high", "r2", "kept", "share", "instructions")
PART = "*"
"""Follows the name of a true part."""
COLUMNS = 3  # panels side by side
BARS = 1.9  # inches, width of the bars' axes
ABOVE, BELOW = 0.43, 0.58  # inches, a panel's title, and its horizontal axis with the gap to what follows
KEPT, SOMETIMES, LEFT_OUT = style.LINE_COLOURS[0], "#8fc1de", "#bdbdbd"
LEGEND = {KEPT: "in the mixture", SOMETIMES: "in the mixture of some seeds", LEFT_OUT: "left out"}


def figures(variants: Path, coefficients: Path, labels: Mapping[str, str], parts: Collection[str]) -> dict[str, Figure]:
    """`mixture`, from variants.csv, which names and orders the models, and analysis/mixture.csv.

    Args:
        variants: variants.csv.
        coefficients: analysis/mixture.csv.
        labels: labels of tasks.
        parts: the true parts of the complex task; none where they are unknown.

    Raises:
        InputError: a file cannot be used, or as `draw`.
    """
    table = RunTable(variants, read_table(variants, VARIANT_TEXT))
    marked = {task: f"{label} {PART}" if task in parts else label for task, label in labels.items()}
    return {"mixture": draw(table, read_table(coefficients, TEXT, NUMBERS), marked, coefficients)}


def draw(
    variants: RunTable, coefficients: pd.DataFrame, labels: Mapping[str, str], source: Path | str = "mixture.csv"
) -> Figure:
    """Draw one panel of bars for each model, tasks from top to bottom, with the mixture written at its right.

    Args:
        variants: rows with the columns `VARIANT_TEXT`; those of the study mixing name and order the models.
        coefficients: rows with the columns `TEXT` and `NUMBERS`; seeds are averaged. A coefficient may be NaN.
        labels: labels of tasks; a task without a label is shown by its name.
        source: the file of the coefficients, for error messages.

    Raises:
        InputError: no variant of the study mixing, a model that the study does not have, a task given twice, or a
            `kept` other than 0 and 1.
    """
    check(coefficients, source)
    variants = variants.of_study("mixing")
    models = variants.order("model", coefficients["model"], source)
    tasks = {task: style.wrapped(labels.get(task, task), 22) for task in dict.fromkeys(coefficients["task"])}
    panels = {model: panel(coefficients[coefficients["model"] == model], list(tasks)) for model in models}

    texts = [text for rows in panels.values() for text in rows["mixture"]]
    lines = max(text.count("\n") + 1 for text in [*tasks.values(), *texts])
    titles = [variants.model_label(model) for model in models]
    left = style.text_width(tasks.values()) + 0.15
    end = BARS + max(style.text_width(texts, weight="bold"), 0.5) + 0.15
    across = max(end, style.text_width(titles, style.LARGE, "bold")) + 0.25
    height = len(tasks) * (0.12 * lines + 0.12)
    down = ABOVE + height + BELOW
    columns = min(COLUMNS, len(models))
    bottom = ceil(len(models) / columns) * down
    occurring = {colour for rows in panels.values() for colour in rows["colour"]}
    legend = {text: colour for colour, text in LEGEND.items() if colour in occurring}
    in_one_line = columns > 1
    figure = style.new_figure(left + columns * across, bottom + 0.17 * (1 if in_one_line else len(legend)))
    for place, (title, rows) in enumerate(zip(titles, panels.values(), strict=True)):
        x, top = left + place % columns * across, place // columns * down
        fit = f"R² {style.fixed(rows['r2'].mean())}"
        style.text_at(figure, x, top + 0.1, title, size=style.LARGE, weight="bold", va="center")
        style.text_at(figure, x, top + 0.31, fit, size=style.SMALL, va="center")
        style.text_at(figure, x + end, top + 0.31, "share (instructions)", size=style.SMALL, ha="right", va="center")
        axes = style.axes_at(figure, x, top + ABOVE, BARS, height)
        draw_panel(axes, rows, end / BARS)
        axes.set_yticks(range(len(tasks)), tasks.values() if place % columns == 0 else [""] * len(tasks))
    draw_legend(figure, left, bottom, legend, columns=len(legend) if in_one_line else 1)
    return figure


def check(coefficients: pd.DataFrame, source: Path | str) -> None:
    """Check that every model, seed and task has one row and was either kept or not."""
    repeated = coefficients[coefficients.duplicated(list(TEXT))]
    if len(repeated):
        model, seed, task = repeated.iloc[0][list(TEXT)]
        raise InputError(f"{source} has the task {task} of model {model}, seed {seed} twice: remove one of the rows.")
    wrong = coefficients[~coefficients["kept"].isin([0, 1])]
    if len(wrong):
        model, seed, task, value = wrong.iloc[0][[*TEXT, "kept"]]
        raise InputError(
            f"{source}: the column 'kept' has {value:g} for the task {task} of model {model}, seed {seed}, but "
            "it must be 0 or 1: make the file again."
        )


def panel(rows: pd.DataFrame, tasks: list[str]) -> pd.DataFrame:
    """The rows of one model, averaged over seeds, one for each of `tasks` in their order, with texts and colours."""
    seeds = rows["seed"].nunique()
    means = mean_over_seeds(rows, ("task",), NUMBERS).set_index("task").reindex(tasks)
    texts = [mixture_text(row, seeds) for _, row in means.iterrows()]
    colours = [KEPT if kept == 1 else SOMETIMES if kept > 0 else LEFT_OUT for kept in means["kept"]]
    return means.assign(mixture=texts, colour=colours)


def mixture_text(row: pd.Series, seeds: int) -> str:
    """Share and number of instructions of a task; if only some seeds keep the task, also their number."""
    if not row["kept"] > 0:
        return ""
    text = f"{100 * row['share']:.0f} % ({row['instructions']:.0f})"
    return text if row["kept"] == 1 else f"{text}\n{row['kept'] * seeds:.0f} of {seeds} seeds"


def draw_panel(axes: Axes, rows: pd.DataFrame, end: float) -> None:
    """Draw bars with intervals and, up to `end` of the axes' width, the mixture; every other row is shaded grey."""
    places = np.arange(len(rows))
    across = axes.get_yaxis_transform()
    for y in places[::2]:
        axes.add_patch(Rectangle((0, y - 0.5), end, 1, transform=across, facecolor="#f4f4f4", clip_on=False, zorder=-1))
    axes.barh(places, rows["beta"], height=0.62, color=rows["colour"], zorder=2)
    for colour, width in (("white", 2.4), ("black", 1.2)):
        axes.hlines(places, rows["low"], rows["high"], color=colour, linewidth=width, zorder=3)
    for y, (beta, text, colour) in enumerate(zip(rows["beta"], rows["mixture"], rows["colour"], strict=True)):
        weight = "bold" if colour == KEPT else "normal"
        axes.text(
            end - 0.02, y, text, transform=across, size=style.SMALL, weight=weight, ha="right", va="center_baseline"
        )
        if np.isnan(beta):
            axes.text(0, y, " n/a", size=style.SMALL, color=style.FAINT, va="center_baseline")
    axes.axvline(0, color=style.FAINT, linewidth=0.6, zorder=2.5, clip_on=False)
    axes.set_xlim(limits(rows[["beta", "low", "high"]].to_numpy(float)))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.locator_params(axis="x", nbins=5)
    axes.tick_params(axis="y", size=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.set_xlabel("coefficient β with 95 % interval", size=style.SMALL, labelpad=2)


def limits(values: np.ndarray) -> tuple[float, float]:
    """Ends of an axis that holds 0 and all values with a little room on the sides that have some."""
    low, high = np.nanmin(values, initial=0.0), np.nanmax(values, initial=0.0)
    room = 0.05 * (high - low) or 1.0
    return low - room * (low < 0), high + room


def draw_legend(figure: Figure, left: float, top: float, legend: Mapping[str, str], columns: int) -> None:
    """Explain the colours (`legend`: text to colour), placed in inches from the figure's upper left corner."""
    width, height = figure.get_size_inches()
    figure.legend(
        handles=[Patch(color=colour, label=text) for text, colour in legend.items()],
        loc="upper left",
        bbox_to_anchor=(left / width, 1 - top / height),
        ncols=columns,
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        handlelength=1.2,
    )
