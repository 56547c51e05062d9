"""Whether patterns predict what ablating heads does to the loss: rank correlations, and curves of groups of heads."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from headpatterns.errors import InputError
from headpatterns.plotting import style
from headpatterns.plotting.inputs import RunTable, mean_over_seeds
from headpatterns.validity import ABSOLUTE, ALL_HEADS, BOTTOM, PHASES, RANDOM, REDUCTIONS, SIGNED, TOP

TEXT = ("model", "task", "seed", "phase", "reduction", "change", "over")
NUMBERS = ("value", "low", "high")
GROUP_TEXT = ("model", "task", "seed", "phase", "reduction", "change", "ranking")
GROUP_NUMBERS = ("k", "share", "value", "low", "high", "spread")

WIDTH = 3.35  # inches: a column of a paper, which more than three models exceed
ROW, HEAD = 0.17, 0.18  # inches, a task and a model's name above its tasks
PANEL, HEIGHT, GAP = 0.8, 0.85, 0.1  # inches: the least width of a panel of curves, its height, and what lies between
# Phases differ in being filled and reductions in shape, rankings in line and marker: all of it outlives greyscale.
SHAPES = ("o", "^", "D")
DARK, LIGHT = style.LINE_COLOURS[0], "#8a8a8a"
RANKINGS = {
    TOP: ("largest patterns", {"color": style.LINE_COLOURS[1], "marker": "o", "linestyle": "-"}),
    BOTTOM: ("smallest patterns", {"color": style.LINE_COLOURS[0], "marker": "s", "linestyle": (0, (3, 1.2))}),
}
BAND = "#c8c8c8"


def draw(runs: RunTable, correlations: pd.DataFrame, groups: pd.DataFrame, source: str = "validity.csv") -> Figure:
    """Draw Spearman's correlations of every model and task above the curves of every model.

    Above, a row a task: hollow before fine-tuning and filled after it, with intervals for the reduction that the groups
    are chosen by; the other reductions are smaller, grey and without intervals. Below, a column a model and a row a
    phase: the mean (signed) change of the loss over tasks as more heads are ablated, their share on a logarithmic axis.

    Args:
        runs: the run table, whose study `adaptation` names and orders models and tasks.
        correlations: rows with the columns `TEXT` and `NUMBERS`, of which those over all heads with the absolute change
            are drawn; seeds are averaged. A correlation may be NaN.
        groups: rows with the columns `GROUP_TEXT` and `GROUP_NUMBERS`, all of one reduction; tasks and seeds are
            averaged.
        source: the file of the correlations, for error messages.

    Raises:
        InputError: the groups are chosen by several reductions, or the run table lacks a model or task.
    """
    chosen = groups["reduction"].unique()
    if len(chosen) > 1:
        raise InputError(
            f"the groups of heads are chosen by the reductions {' and '.join(chosen)}, not by one: ablate the heads "
            "of all models again with one config."
        )
    runs = runs.of_study("adaptation")
    drawn = correlations[(correlations["change"] == ABSOLUTE) & (correlations["over"] == ALL_HEADS)]
    drawn = drawn[drawn["phase"].isin(PHASES)]
    rows = mean_over_seeds(drawn, ("model", "task", "phase", "reduction"), NUMBERS)
    signed = groups[groups["change"] == SIGNED]
    curves = mean_over_seeds(signed, ("model", "phase", "ranking", "k"), GROUP_NUMBERS[1:])
    models = runs.order("model", rows["model"], source)
    tasks = {model: runs.order("task", rows.loc[rows["model"] == model, "task"], source) for model in models}
    reductions = [*chosen, *(name for name in REDUCTIONS if name not in chosen)]

    names = [runs.task_label(task) for found in tasks.values() for task in found]
    left = max(style.text_width(names) + 0.1, 0.55)
    panel = max((WIDTH - left - GAP * (len(models) - 1)) / len(models), PANEL)
    width = left + panel * len(models) + GAP * (len(models) - 1)
    strip = sum(HEAD + ROW * len(found) for found in tasks.values())
    titles = {model: style.wrapped(runs.model_label(model), int(17 * panel)) for model in models}
    below = strip + 0.78 + 0.12 * max(title.count("\n") + 1 for title in titles.values())
    figure = style.new_figure(width, below + 2 * HEIGHT + GAP + 0.75)
    draw_correlations(style.axes_at(figure, left, 0, width - left, strip), runs, rows, tasks, reductions)
    add_legend(figure, correlation_legend(reductions), strip + 0.36)
    lowest, highest = curves["value"].min(), curves["value"].max()
    room = 0.05 * (highest - lowest) or 1.0
    for m, model in enumerate(models):
        for p, phase in enumerate(PHASES):
            axes = style.axes_at(figure, left + m * (panel + GAP), below + p * (HEIGHT + GAP), panel, HEIGHT)
            draw_curves(axes, curves[(curves["model"] == model) & (curves["phase"] == phase)])
            axes.set_ylim(lowest - room, highest + 3 * room)  # with a place for the phase
            axes.text(0.04, 0.97, f"{phase} SFT", transform=axes.transAxes, size=style.SMALL, va="top")
            if m > 0:
                axes.tick_params(labelleft=False)
            if p == 0:
                axes.set_title(titles[model], weight="bold", size=style.SMALL)
                axes.tick_params(labelbottom=False)
    style.text_at(
        figure, left + (width - left) / 2, below + 2 * HEIGHT + GAP + 0.28, "heads ablated together (% of all)",
        size=style.SMALL, ha="center", va="center",
    )  # fmt: skip
    style.text_at(
        figure, left - 0.48, below + HEIGHT + GAP / 2, "mean change of the loss (nats)",
        size=style.SMALL, rotation=90, ha="center", va="center",
    )  # fmt: skip
    add_legend(figure, curve_legend(), below + 2 * HEIGHT + GAP + 0.4)
    return figure


def draw_correlations(
    axes: Axes, runs: RunTable, rows: pd.DataFrame, tasks: dict[str, list[str]], reductions: list[str]
) -> None:
    """One row a task below its model's name, in inches from the top; the first of `reductions` stands out."""
    found = rows.set_index(["model", "task", "phase", "reduction"])
    across = axes.get_yaxis_transform()
    ticks: dict[float, str] = {}
    y = 0.0
    for model, of_model in tasks.items():
        axes.add_patch(Rectangle((0, y), 1, HEAD, transform=across, facecolor="#ececec", linewidth=0, zorder=0))
        axes.text(
            0.01, y + HEAD / 2, runs.model_label(model), transform=across, weight="bold", size=style.SMALL,
            va="center_baseline",
        )  # fmt: skip
        y += HEAD
        for task in of_model:
            ticks[y + ROW / 2] = runs.task_label(task)
            for phase, place in zip(PHASES, (0.3, 0.7), strict=True):
                for rank, reduction in reversed(list(enumerate(reductions))):
                    if (key := (model, task, phase, reduction)) in found.index:
                        draw_estimate(axes, found.loc[key], y + ROW * place, phase, rank)
            y += ROW
    axes.set_xlim(*limits(rows, reductions[0]))
    axes.set_ylim(y, 0)
    axes.set_yticks(list(ticks), ticks.values())
    axes.tick_params(axis="y", size=0)
    axes.axvline(0, color=style.FAINT, linewidth=0.6, zorder=1)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.set_xlabel("rank correlation of pattern and |change of the loss|", size=style.SMALL, labelpad=2)


def limits(rows: pd.DataFrame, chosen: str) -> tuple[float, float]:
    """Ends of the axis of correlations: 0 and 1 and whatever of estimates and drawn intervals lies below."""
    numbers = np.concatenate([rows["value"], rows.loc[rows["reduction"] == chosen, "low"]])
    return min(np.nanmin(numbers, initial=0.0), 0.0) - 0.03, 1.03


def draw_estimate(axes: Axes, row: pd.Series, y: float, phase: str, rank: int) -> None:
    """A correlation: of the chosen reduction (`rank` 0) with its interval, of the others a small grey mark."""
    colour, size = (DARK, 4.2) if rank == 0 else (LIGHT, 2.6)
    if rank == 0 and np.isnan(row["value"]):
        place = 0.01 if phase == "before" else 0.12
        axes.text(place, y, f"{phase}: n/a", size=style.SMALL, color=style.FAINT, va="center_baseline")
        return
    if rank == 0:
        axes.hlines(y, row["low"], row["high"], color=colour, linewidth=1.0, zorder=3)
    axes.plot(
        row["value"], y, marker=SHAPES[rank], markersize=size, color=colour, linestyle="", zorder=4 - rank / 2,
        markerfacecolor=colour if phase == "after" else "white", markeredgewidth=0.8,
    )  # fmt: skip


def draw_curves(axes: Axes, rows: pd.DataFrame) -> None:
    """The curves of one model and phase: both rankings, and the band of random heads behind them."""
    random = rows[rows["ranking"] == RANDOM].sort_values("k")
    spread = random["spread"].fillna(0)
    axes.fill_between(
        100 * random["share"], random["value"] - spread, random["value"] + spread, color=BAND, linewidth=0, zorder=1
    )
    axes.plot(100 * random["share"], random["value"], color="black", linewidth=0.7, linestyle=(0, (1, 1)), zorder=2)
    for ranking, (_, look) in RANKINGS.items():
        line = rows[rows["ranking"] == ranking].sort_values("k")
        axes.vlines(100 * line["share"], line["low"], line["high"], color=look["color"], linewidth=0.7, zorder=3)
        axes.plot(
            100 * line["share"], line["value"], linewidth=1.1, markersize=3, markeredgecolor="white",
            markeredgewidth=0.3, zorder=4, **look,
        )  # fmt: skip
    axes.axhline(0, color=style.FAINT, linewidth=0.5, zorder=0.5)
    set_share_axis(axes, 100 * random["share"].to_numpy(float))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["right", "top"]].set_visible(False)


def set_share_axis(axes: Axes, shares: np.ndarray) -> None:
    """A logarithmic axis in per cent, labelled where the labels have room."""
    low, high = shares.min(), shares.max()
    axes.set_xscale("log")
    room = (high / low) ** 0.08 if high > low else 2.0
    axes.set_xlim(low / room, high * room)
    wanted = [share for share in (0.1, 0.3, 1, 3, 10, 30, 100) if low / 1.01 <= share <= high * 1.01]
    axes.xaxis.set_major_locator(FixedLocator(wanted or [low]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")


def correlation_legend(reductions: list[str]) -> list[Line2D]:
    """What fillings and shapes mean."""
    phases = [
        Line2D([], [], color=DARK, marker="o", markersize=4.2, linewidth=1, markeredgewidth=0.8, label=f"{phase} SFT",
               markerfacecolor=DARK if phase == "after" else "white")
        for phase in PHASES
    ]  # fmt: skip
    shapes = [
        Line2D([], [], color=LIGHT if rank else DARK, marker=SHAPES[rank], markersize=2.6 if rank else 4.2,
               linestyle="", label=reduction)
        for rank, reduction in enumerate(reductions)
    ]  # fmt: skip
    return [*phases, *shapes]


def curve_legend() -> list[Line2D | tuple]:
    """What the lines mean."""
    lines = [Line2D([], [], label=label, linewidth=1.1, markersize=3, **look) for label, look in RANKINGS.values()]
    return [*lines, Patch(color=BAND, label="random heads ± SD")]


def add_legend(figure: Figure, handles: list, top: float) -> None:
    """A legend centred in the figure, `top` inches from its upper edge."""
    height = figure.get_size_inches()[1]
    figure.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 1 - top / height),
        ncols=3,
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        columnspacing=1.0,
        handletextpad=0.4,
        handlelength=1.8,
    )
