"""The transfer matrix of every model beside the similarities of Figure 2."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headpatterns.presentation import style
from headpatterns.presentation.inputs import RunTable, mean_over_seeds, read_run_table, read_table, row_at
from headpatterns.statistics.mantel import SPEARMAN, SYMMETRISED

SIMILARITY_TEXT = ("model", "seed", "matrix", "task_a", "task_b")
TRANSFER_TEXT = ("model", "trained_on", "task", "seed")
MANTEL_TEXT = ("model", "matrix", "design", "statistic")
ALL = "*"
SIMILARITIES = {"before": "before SFT", "after": "after SFT", "change_rate": "change rate"}
MOST_WITH_VALUES = 12  # tasks up to which a cell has room for its value
GAP = 0.12


def figures(runs: Path, similarity: Path, transfer: Path, mantel: Path) -> dict[str, Figure]:
    """`figure_transfer`, from runs.csv and the analyses similarity, transfer and transfer_mantel.

    Raises:
        InputError: a file cannot be used, or they are not of the same config.
    """
    gains = read_table(transfer, TRANSFER_TEXT, ("gain",))
    return {
        "figure_transfer": draw(
            read_run_table(runs),
            gains[gains["seed"] == ALL],
            read_table(similarity, SIMILARITY_TEXT, ("value",)),
            read_table(mantel, MANTEL_TEXT, ("value", "p")),
            transfer,
        )
    }


def draw(
    runs: RunTable,
    gains: pd.DataFrame,
    similarity: pd.DataFrame,
    tests: pd.DataFrame,
    source: Path | str = "transfer.csv",
) -> Figure:
    """Draw a row per model: gains by training task and measured task, then three similarities with their test above.

    Args:
        runs: the run table, whose study `adaptation` names and orders models and tasks.
        gains: mean over seeds, `TRANSFER_TEXT` and gain. The colours of a model reach to its largest gain or loss.
        similarity: `SIMILARITY_TEXT` and value; seeds are averaged.
        tests: `MANTEL_TEXT`, value and p; Spearman's correlations of pairs of tasks are shown.
        source: the file of the gains, for error messages.

    Raises:
        InputError: the run table lacks a model or task.
    """
    runs = runs.of_study("adaptation")
    models = runs.order("model", gains["model"], source)
    tasks = runs.order("task", gains["task"], source)
    labels = [runs.task_label(task) for task in tasks]
    averaged = mean_over_seeds(similarity, ("model", "matrix", "task_a", "task_b"), ("value",))
    chosen = tests[(tests["design"] == SYMMETRISED) & (tests["statistic"] == SPEARMAN)].set_index(["model", "matrix"])

    side = max(float(np.clip(2.1 / len(tasks), 0.26, 0.5)) * len(tasks), 1.35)
    named = style.text_width(labels)
    left, below, row_height = named + 0.3, 0.72 * named + 0.12, 0.76 + side
    figure = style.new_figure(left + 4 * side + 3 * GAP, row_height * len(models) + below + 0.75)
    for m, model in enumerate(models):
        top = m * row_height + 0.58
        style.text_at(figure, 0, top - 0.46, runs.model_label(model), size=style.LARGE, weight="bold", va="center")
        panels = [square(gains[gains["model"] == model], "trained_on", "task", "gain", tasks)]
        titles, limits = ["gain, nats per token"], [float(np.nanmax(np.abs(panels[0]), initial=1e-9))]
        for name, title in SIMILARITIES.items():
            own = averaged[(averaged["model"] == model) & (averaged["matrix"] == name)]
            panels.append(square(own, "task_a", "task_b", "value", tasks))
            titles.append(f"{title}\n{tested(chosen, model, name)}")
            limits.append(1.0)
        for c, (values, title, limit) in enumerate(zip(panels, titles, limits, strict=True)):
            axes = style.axes_at(figure, left + c * (side + GAP), top, side, side)
            draw_cells(axes, values, limit)
            axes.set_title(title, linespacing=1.3)
            label(axes, labels if c == 0 else [], labels if m == len(models) - 1 else [])
            if c == 0:
                axes.set_ylabel("trained on", size=style.SMALL, labelpad=2)
    add_bars(figure, left, side, row_height * len(models) + below + 0.1)
    return figure


def square(rows: pd.DataFrame, row: str, column: str, value: str, tasks: list[str]) -> np.ndarray:
    """A matrix over tasks from its cells; cells that are not in the table are NaN."""
    found = rows.pivot(index=row, columns=column, values=value).reindex(index=tasks, columns=tasks)
    return found.to_numpy(float)


def tested(tests: pd.DataFrame, model: str, matrix: str) -> str:
    """The text above a similarity: its correlation with the gains, and Mantel's p."""
    row = row_at(tests, (model, matrix))
    if not np.isfinite(row["value"]):
        return ""
    return f"ρ = {style.fixed(row['value'])}, p = {style.number(row['p'])}"


def draw_cells(axes: Axes, values: np.ndarray, limit: float) -> None:
    """Draw a heat map from −limit to limit, with values if there is space; values in dark cells are white."""
    axes.imshow(values, cmap=style.colour_map(style.SIGNED), vmin=-limit, vmax=limit, aspect="auto")
    axes.set_facecolor(style.MISSING)
    if len(values) > MOST_WITH_VALUES:
        return
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if abs(value) > 0.6 * limit else "black"
        text = style.compact(value) if limit <= 1 else style.fixed(value, 1)
        axes.text(column, row, text, size=style.SMALL, ha="center", va="center", color=colour)


def label(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Names of the tasks beside the rows and below the columns; none where a neighbour has them."""
    axes.set_yticks(np.arange(len(rows)), rows)
    axes.set_xticks(np.arange(len(columns)), columns)
    axes.tick_params(axis="x", rotation=45, rotation_mode="xtick")
    axes.tick_params(size=0, pad=2)


def add_bars(figure: Figure, left: float, side: float, top: float) -> None:
    """Add colour bars: gains are relative to a model's largest, correlations are unscaled."""
    bar = style.axes_at(figure, left, top, side, 0.1)
    shown = style.colour_bar(bar, style.SIGNED, -1, 1, "gain", ticks=[-1, 0, 1])
    shown.ax.set_xticklabels(["largest loss", "0", "largest gain"])
    middle = left + side + GAP + (3 * side + 2 * GAP) / 2
    bar = style.axes_at(figure, middle - 1.25, top, 2.5, 0.1)
    style.colour_bar(bar, style.SIGNED, -1, 1, "correlation between tasks", ticks=[-1, -0.5, 0, 0.5, 1])
