"""The figure of benchmarks/attribution.py: time per token and peak memory of each procedure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from headpatterns.presentation import style

PANELS = {"seconds_a_thousand": "seconds for 1000 tokens", "peak_gib": "peak memory (GiB)"}
SWEEPS = {"length": "tokens of a sample", "width": "width of the model"}
PANEL, GAP, TOP = 2.7, 0.55, 0.1


def draw(rows: Sequence[dict[str, Any]], sweep: str | None, path: Path) -> None:
    """Write the figure as `path`.pdf, .svg and .png: bars of the procedures, or a line for each over the sizes."""
    table = pd.DataFrame(rows).reindex(columns=["size", "procedure", "seconds", "tokens", "peak_gib"])
    table["seconds_a_thousand"] = 1000 * table["seconds"] / table["tokens"]
    with style.applied():
        names = list(dict.fromkeys(table["procedure"]))
        left, height = style.text_width(names) + 0.25, 2.2 if sweep else 0.24 * len(names)
        figure = style.new_figure(left + 2 * PANEL + GAP + 0.2, TOP + height + (0.75 if sweep else 0.5))
        for place, (column, label) in enumerate(PANELS.items()):
            axes = style.axes_at(figure, left + place * (PANEL + GAP), TOP, PANEL, height)
            if sweep:
                draw_lines(axes, table, column)
                axes.set(xlabel=SWEEPS[sweep], ylabel=label)
            else:
                draw_bars(axes, table, column, named=place == 0)
                axes.set(xlabel=label)
            axes.spines[["right", "top"]].set_visible(False)
        if sweep:
            figure.legend(*axes.get_legend_handles_labels(), loc="lower center", ncols=len(names), frameon=False)
        style.save(figure, path)


def draw_bars(axes: Axes, table: pd.DataFrame, column: str, named: bool) -> None:
    """Bars from top to bottom, with their values."""
    axes.barh(range(len(table)), table[column], color=style.LINE_COLOURS[: len(table)], height=0.7)
    for place, value in enumerate(table[column]):
        axes.text(0 if pd.isna(value) else value, place, f" {style.number(value, 3)}", size=style.SMALL, va="center")
    axes.set_yticks(range(len(table)), table["procedure"] if named else [""] * len(table))
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.locator_params(axis="x", nbins=5)


def draw_lines(axes: Axes, table: pd.DataFrame, column: str) -> None:
    """A line for each procedure over the sizes, both on logarithmic scales; missing measurements leave a gap."""
    for place, (name, rows) in enumerate(table.groupby("procedure", sort=False)):
        axes.plot(rows["size"], rows[column], label=name, color=style.LINE_COLOURS[place], linewidth=1.2,
                  marker=style.MARKERS[place], markersize=3.5)  # fmt: skip
    axes.set_xscale("log", base=2)
    if table[column].notna().any():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
    sizes = sorted(set(table["size"]))
    axes.set_xticks(sizes, sizes)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(color="#e5e5e5", linewidth=0.5)
    axes.set_axisbelow(True)
