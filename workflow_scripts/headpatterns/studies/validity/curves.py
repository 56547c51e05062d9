"""Curves of the change of the loss over the number of ablated heads, a column per model and a row per phase."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from headpatterns.presentation import style
from headpatterns.studies.validity.ablations import PHASES
from headpatterns.studies.validity.measures import BOTTOM, RANDOM, TOP

PANEL, HEIGHT, GAP = 0.8, 0.85, 0.1  # inches: the least width of a panel of curves, its height, and what lies between
APART = 0.05  # inches between the labels of neighbouring ticks
# Rankings differ in line and marker, which stay distinct in greyscale.
RANKINGS: dict[str, tuple[str, dict[str, Any]]] = {
    TOP: ("largest patterns", {"color": style.LINE_COLOURS[1], "marker": "o", "linestyle": "-"}),
    BOTTOM: ("smallest patterns", {"color": style.LINE_COLOURS[0], "marker": "s", "linestyle": (0, (3, 1.2))}),
}
DOTTED: dict[str, Any] = {"color": "black", "linewidth": 0.9, "linestyle": (0, (1, 1))}
BAND = "#c8c8c8"


@dataclass(frozen=True)
class Layout:
    """The layout in inches: the width of the figure, of the space left of the axes, and of a panel of curves."""

    width: float
    left: float
    panel: float

    def column(self, number: int) -> float:
        """The left edge of a column of curves."""
        return self.left + number * (self.panel + GAP)


def draw_panels(figure: Figure, layout: Layout, curves: pd.DataFrame, titles: Mapping[str, str], top: float) -> None:
    """Draw the panels of curves from `top` on: a column per model, and a row per phase with one axis of the loss."""
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
    """Draw the curves of one model and phase: both rankings, and the band of random heads behind them."""
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
    axes.xaxis.set_major_locator(FixedLocator(shares.tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    inches = width * np.log(shares / low * room) / np.log(high / low * room**2)
    axes.xaxis.set_major_formatter(FixedFormatter(share_labels(shares.tolist(), inches.tolist())))


def share_labels(shares: Sequence[float], inches: Sequence[float]) -> list[str]:
    """A label for each share, from the largest on; empty where it would overlap the label to its right."""
    labels: list[str] = []
    edge = np.inf
    for share, place in zip(reversed(shares), reversed(inches), strict=True):
        label = f"{share:.2g}"
        half = style.text_width([label]) / 2
        fits = edge - (place + half) >= APART
        labels.append(label if fits else "")
        edge = place - half if fits else edge
    return labels[::-1]


def curve_legend() -> list[Artist]:
    """The legend of the lines and the band."""
    lines = [Line2D([], [], label=label, linewidth=1.1, markersize=3, **look) for label, look in RANKINGS.values()]
    return [*lines, Line2D([], [], label="random heads, mean", **DOTTED), Patch(color=BAND, label="± SD over draws")]
