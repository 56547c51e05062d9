"""Whether patterns predict what ablating heads does to the loss: rank correlations, and curves of groups of heads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from headpatterns.errors import InputError
from headpatterns.presentation import style
from headpatterns.presentation.inputs import RunTable
from headpatterns.studies.validity.measures import ABSOLUTE, ALL, ALL_HEADS, BOTTOM, PHASES, RANDOM, SIGNED, TOP

TEXT = ("model", "task", "seed", "phase", "reduction", "change", "over")
NUMBERS = ("value", "low", "high")
GROUP_TEXT = ("model", "task", "seed", "phase", "reduction", "change", "ranking")
GROUP_NUMBERS = ("k", "share", "value", "low", "high", "spread")

WIDTH = 3.35  # inches: a column of a paper, which more than three models exceed
ROW, HEAD = 0.17, 0.18  # inches, a task and a model's name above its tasks
PANEL, HEIGHT, GAP = 0.8, 0.85, 0.1  # inches: the least width of a panel of curves, its height, and what lies between
APART = 0.05  # inches between the labels of neighbouring ticks
# Phases differ in being filled, rankings in line and marker: all of it outlives greyscale.
DARK = style.LINE_COLOURS[0]
CHANGES = {ABSOLUTE: "|change of the loss|", SIGNED: "change of the loss"}
RANKINGS = {
    TOP: ("largest patterns", {"color": style.LINE_COLOURS[1], "marker": "o", "linestyle": "-"}),
    BOTTOM: ("smallest patterns", {"color": style.LINE_COLOURS[0], "marker": "s", "linestyle": (0, (3, 1.2))}),
}
DOTTED = {"color": "black", "linewidth": 0.9, "linestyle": (0, (1, 1))}
BAND = "#c8c8c8"


@dataclass(frozen=True)
class Layout:
    """Where things are, in inches: the figure's width, what lies left of the axes, and a panel of curves."""

    width: float
    left: float
    panel: float

    def column(self, number: int) -> float:
        """The left edge of a column of curves."""
        return self.left + number * (self.panel + GAP)


def draw(runs: RunTable, correlations: pd.DataFrame, groups: pd.DataFrame, source: str = "validity.csv") -> Figure:
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
    return chosen[0]


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
    figure: Figure, layout: Layout, runs: RunTable, rows: pd.DataFrame, tasks: dict[str, list[str]]
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


def draw_correlations(axes: Axes, runs: RunTable, rows: pd.DataFrame, tasks: dict[str, list[str]]) -> None:
    """One row a task below its model's name, in inches from the top."""
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
                    draw_estimate(axes, found.loc[key], y + ROW * place, phase)
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
    """Ends of the axis of correlations: 0 and 1 and whatever of estimates and intervals lies below."""
    return float(np.nanmin(rows[["value", "low"]].to_numpy(), initial=0.0)) - 0.03, 1.03


def draw_estimate(axes: Axes, row: pd.Series, y: float, phase: str) -> None:
    """A correlation with its interval, or that there is none."""
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


def draw_panels(figure: Figure, layout: Layout, curves: pd.DataFrame, titles: dict[str, str], top: float) -> None:
    """The panels of curves from `top` on: a column a model and a row, with one axis of the loss, a phase."""
    for p, phase in enumerate(PHASES):
        of_phase = curves[curves["phase"] == phase]
        for m, (model, title) in enumerate(titles.items()):
            axes = style.axes_at(figure, layout.column(m), top + p * (HEIGHT + GAP), layout.panel, HEIGHT)
            draw_curves(axes, of_phase[of_phase["model"] == model], layout.panel)
            axes.set_ylim(*loss_limits(of_phase))
            axes.text(0.04, 0.97, f"{phase} SFT", transform=axes.transAxes, size=style.SMALL, va="top")
            axes.tick_params(labelleft=m == 0, labelbottom=p == len(PHASES) - 1)
            if p == 0:
                axes.set_title(title, weight="bold", size=style.SMALL)
    middle, bottom = layout.left + (layout.width - layout.left) / 2, top + 2 * HEIGHT + GAP
    style.text_at(
        figure, middle, bottom + 0.28, "heads ablated together (% of all)", size=style.SMALL, ha="center", va="center"
    )
    style.text_at(
        figure, layout.left - 0.5, bottom - HEIGHT - GAP / 2, "mean change of the loss (nats)",
        size=style.SMALL, rotation=90, ha="center", va="center",
    )  # fmt: skip


def loss_limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Ends of the axis of losses: 0, every curve, interval and band, and above them a place for the phase."""
    spread = rows["spread"].fillna(0)
    shown = np.concatenate([rows["low"], rows["high"], rows["value"] - spread, rows["value"] + spread])
    lowest, highest = np.nanmin(shown, initial=0.0), np.nanmax(shown, initial=0.0)
    room = 0.06 * (highest - lowest) or 1.0
    return lowest - room, highest + 4 * room


def draw_curves(axes: Axes, rows: pd.DataFrame, width: float) -> None:
    """The curves of one model and phase: both rankings, and the band of random heads behind them."""
    axes.axhline(0, color=style.FAINT, linewidth=0.5, zorder=0.5)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["right", "top"]].set_visible(False)
    random = rows[rows["ranking"] == RANDOM].sort_values("k")
    if random.empty:
        axes.text(0.5, 0.5, "n/a", transform=axes.transAxes, size=style.SMALL, color=style.FAINT, ha="center")
        axes.set_xticks([])
        return
    spread = random["spread"].fillna(0)
    axes.fill_between(
        100 * random["share"], random["value"] - spread, random["value"] + spread, color=BAND, linewidth=0, zorder=1
    )
    axes.plot(100 * random["share"], random["value"], zorder=2, **DOTTED)
    for ranking, (_, look) in RANKINGS.items():
        line = rows[rows["ranking"] == ranking].sort_values("k")
        axes.vlines(100 * line["share"], line["low"], line["high"], color=look["color"], linewidth=0.7, zorder=3)
        axes.plot(
            100 * line["share"], line["value"], linewidth=1.1, markersize=3, markeredgecolor="white",
            markeredgewidth=0.3, zorder=4, **look,
        )  # fmt: skip
    set_share_axis(axes, 100 * random["share"].to_numpy(float), width)


def set_share_axis(axes: Axes, shares: np.ndarray, width: float) -> None:
    """A logarithmic axis in per cent with a tick at each share, labelled where `width` (inches) has room for it."""
    low, high = shares.min(), shares.max()
    axes.set_xscale("log")
    room = (high / low) ** 0.08 if high > low else 2.0
    axes.set_xlim(low / room, high * room)
    axes.xaxis.set_major_locator(FixedLocator(shares))
    axes.xaxis.set_minor_locator(NullLocator())
    inches = width * np.log(shares / low * room) / np.log(high / low * room**2)
    axes.xaxis.set_major_formatter(FixedFormatter(share_labels(shares, inches)))


def share_labels(shares: Sequence[float], inches: Sequence[float]) -> list[str]:
    """A label for each share, from the largest on; empty where it would run into the one to its right."""
    labels: list[str] = []
    edge = np.inf
    for share, place in zip(reversed(shares), reversed(inches), strict=True):
        label = f"{share:.2g}"
        half = style.text_width([label]) / 2
        fits = edge - (place + half) >= APART
        labels.append(label if fits else "")
        edge = place - half if fits else edge
    return labels[::-1]


def phase_legend() -> list[Line2D]:
    """What hollow and filled mean."""
    return [
        Line2D([], [], color=DARK, marker="o", markersize=4.2, linewidth=1, markeredgewidth=0.8, label=f"{phase} SFT",
               markerfacecolor=DARK if phase == "after" else "white")
        for phase in PHASES
    ]  # fmt: skip


def curve_legend() -> list[Artist]:
    """What the lines and the band mean."""
    lines = [Line2D([], [], label=label, linewidth=1.1, markersize=3, **look) for label, look in RANKINGS.values()]
    return [*lines, Line2D([], [], label="random heads, mean", **DOTTED), Patch(color=BAND, label="± SD over draws")]


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
