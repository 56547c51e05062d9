"""Whether patterns predict what ablating heads does to the loss: rank correlations, and curves of groups of heads."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from headpatterns.errors import InputError
from headpatterns.presentation import style
from headpatterns.presentation.inputs import RunTable, read_run_table, read_table, row_at
from headpatterns.studies.validity.ablations import PHASES
from headpatterns.studies.validity.curves import GAP, HEIGHT, PANEL, Layout, curve_legend, draw_panels
from headpatterns.studies.validity.measures import ABSOLUTE, ALL, ALL_HEADS, SIGNED

TEXT = ("model", "task", "seed", "phase", "reduction", "change", "over")
NUMBERS = ("value", "low", "high")
GROUP_TEXT = ("model", "task", "seed", "phase", "reduction", "change", "ranking")
GROUP_NUMBERS = ("k", "share", "value", "low", "high", "spread")

WIDTH = 3.35  # inches: a column of a paper, which more than three models exceed
ROW, HEAD = 0.17, 0.18  # inches, a task and a model's name above its tasks
# Phases differ in filled and hollow marks, which stay distinct in greyscale.
DARK = style.LINE_COLOURS[0]
CHANGES = {ABSOLUTE: "|change of the loss|", SIGNED: "change of the loss"}


def figures(runs: Path, correlations: Path, groups: Path) -> dict[str, Figure]:
    """`figure_validity`, from runs.csv, analysis/validity.csv and analysis/validity_groups.csv.

    Raises:
        InputError: a file cannot be used, or as `draw`.
    """
    table = read_run_table(runs)
    rows = read_table(correlations, TEXT, NUMBERS)
    return {"figure_validity": draw(table, rows, read_table(groups, GROUP_TEXT, GROUP_NUMBERS), correlations)}


def draw(
    runs: RunTable, correlations: pd.DataFrame, groups: pd.DataFrame, source: Path | str = "validity.csv"
) -> Figure:
    """Draw Spearman's correlations of every model and task above the curves of every model.

    Above, a row a task: hollow before fine-tuning and filled after it, with intervals; left of patterns with the
    magnitude of the change of the loss, right with the change itself. Below, a column a model and a row a phase: the
    mean (signed) change of the loss over tasks as more heads are ablated, their share on a logarithmic axis; groups of
    all heads, which are the same for every ranking, are left out.

    Args:
        runs: the run table, whose study `adaptation` names and orders models and tasks.
        correlations: rows with the columns `TEXT` and `NUMBERS`, of which the means over seeds over all heads, of the
            reduction that the groups are chosen by, are drawn. A correlation may be NaN.
        groups: rows with the columns `GROUP_TEXT` and `GROUP_NUMBERS`, all of one reduction, of which the means over
            tasks are drawn.
        source: the file of the correlations, for error messages.

    Raises:
        InputError: the groups are chosen by several reductions, or the run table lacks a model or task.
    """
    rows = drawn_correlations(correlations, only_reduction(groups))
    curves = groups[(groups["change"] == SIGNED) & (groups["task"] == ALL) & (groups["share"] < 1)]
    runs = runs.of_study("adaptation")
    models = runs.order("model", rows["model"], source)
    tasks = {model: runs.order("task", rows.loc[rows["model"] == model, "task"], source) for model in models}

    names = [runs.task_label(task) for found in tasks.values() for task in found]
    left = max(style.text_width(names) + 0.1, 0.6)
    panel = max((WIDTH - left - GAP * (len(models) - 1)) / len(models), PANEL)
    layout = Layout(left + panel * len(models) + GAP * (len(models) - 1), left, panel)
    titles = {model: style.wrapped(runs.model_label(model), int(17 * panel)) for model in models}
    strip = sum(HEAD + ROW * len(found) for found in tasks.values())
    top = strip + 0.74 + 0.12 * max(title.count("\n") + 1 for title in titles.values())
    figure = style.new_figure(layout.width, top + 2 * HEIGHT + GAP + 0.75)
    draw_strips(figure, layout, runs, rows, tasks)
    add_legend(figure, phase_legend(), strip + 0.48)
    draw_panels(figure, layout, curves, titles, top)
    add_legend(figure, curve_legend(), top + 2 * HEIGHT + GAP + 0.4)
    return figure


def only_reduction(groups: pd.DataFrame) -> str:
    """The reduction that all groups are chosen by.

    Raises:
        InputError: there are several.
    """
    chosen = groups["reduction"].unique()
    if len(chosen) > 1:
        raise InputError(
            f"the groups of heads are chosen by the reductions {' and '.join(chosen)}, not by one: ablate the heads "
            "of all models again with one config."
        )
    return str(chosen[0])


def drawn_correlations(correlations: pd.DataFrame, reduction: str) -> pd.DataFrame:
    """The rows that the strips show: of both phases, each task's mean over seeds."""
    return correlations[
        (correlations["reduction"] == reduction)
        & (correlations["over"] == ALL_HEADS)
        & correlations["phase"].isin(PHASES)
        & (correlations["seed"] == ALL)
        & (correlations["task"] != ALL)
    ]


def draw_strips(
    figure: Figure, layout: Layout, runs: RunTable, rows: pd.DataFrame, tasks: Mapping[str, list[str]]
) -> None:
    """Two strips of correlations on the same scale, one for each way to take the change."""
    across = (layout.width - layout.left - GAP) / len(CHANGES)
    down = sum(HEAD + ROW * len(found) for found in tasks.values())
    for s, (change, label) in enumerate(CHANGES.items()):
        axes = style.axes_at(figure, layout.left + s * (across + GAP), 0, across, down)
        draw_correlations(axes, runs, rows[rows["change"] == change], tasks)
        axes.set_xlim(*limits(rows))
        axes.set_xlabel(label, size=style.SMALL, labelpad=2)
        if s > 0:
            axes.tick_params(labelleft=False)
            for text in axes.texts:
                text.set_visible(text.get_gid() != "model")
    style.text_at(
        figure, layout.left + (layout.width - layout.left) / 2, down + 0.38, "rank correlation with the pattern",
        size=style.SMALL, ha="center", va="center",
    )  # fmt: skip


def draw_correlations(axes: Axes, runs: RunTable, rows: pd.DataFrame, tasks: Mapping[str, list[str]]) -> None:
    """Draw one row per task below its model's name, in inches from the top."""
    found = rows.set_index(["model", "task", "phase"])
    across = axes.get_yaxis_transform()
    ticks: dict[float, str] = {}
    y = 0.0
    for model, of_model in tasks.items():
        axes.add_patch(Rectangle((0, y), 1, HEAD, transform=across, facecolor="#ececec", linewidth=0, zorder=2))
        axes.text(
            0.01, y + HEAD / 2, runs.model_label(model), transform=across, weight="bold", size=style.SMALL,
            va="center_baseline", gid="model",
        )  # fmt: skip
        y += HEAD
        for task in of_model:
            ticks[y + ROW / 2] = runs.task_label(task)
            for phase, place in zip(PHASES, (0.3, 0.7), strict=True):
                if (key := (model, task, phase)) in found.index:
                    draw_estimate(axes, row_at(found, key), y + ROW * place, phase)
            y += ROW
    axes.set_ylim(y, 0)
    axes.set_yticks(list(ticks), ticks.values())
    axes.tick_params(axis="y", size=0)
    axes.axvline(0, color=style.FAINT, linewidth=0.6, zorder=1)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["left", "right", "top"]].set_visible(False)


def limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Ends of the axis of correlations: 0 and 1, extended to estimates and intervals below 0."""
    return float(np.nanmin(rows[["value", "low"]].to_numpy(), initial=0.0)) - 0.03, 1.03


def draw_estimate(axes: Axes, row: pd.Series, y: float, phase: str) -> None:
    """Draw a correlation with its interval, or a note that there is none."""
    if np.isnan(row["value"]):
        place = 0.01 if phase == "before" else 0.5
        axes.text(
            place, y, f"{phase}: n/a", transform=axes.get_yaxis_transform(), size=style.SMALL, color=style.FAINT,
            va="center_baseline",
        )  # fmt: skip
        return
    axes.hlines(y, row["low"], row["high"], color=DARK, linewidth=1.0, zorder=3)
    axes.plot(
        row["value"], y, marker="o", markersize=4.2, color=DARK, linestyle="", zorder=4,
        markerfacecolor=DARK if phase == "after" else "white", markeredgewidth=0.8,
    )  # fmt: skip


def phase_legend() -> list[Line2D]:
    """The legend of hollow and filled marks."""
    return [
        Line2D([], [], color=DARK, marker="o", markersize=4.2, linewidth=1, markeredgewidth=0.8, label=f"{phase} SFT",
               markerfacecolor=DARK if phase == "after" else "white")
        for phase in PHASES
    ]  # fmt: skip


def add_legend(figure: Figure, handles: Sequence[Artist], top: float) -> None:
    """A legend in two columns centred in the figure, `top` inches from its upper edge."""
    height = figure.get_size_inches()[1]
    figure.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 1 - top / height),
        ncols=2,
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        columnspacing=1.0,
        handletextpad=0.4,
        handlelength=1.8,
    )
