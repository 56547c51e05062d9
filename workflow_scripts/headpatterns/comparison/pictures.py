"""The pictures of a comparison: levels by head, levels by layer, and the similarity of the probe sets."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from headpatterns.comparison.numbers import OF_HEADS, OF_LAYERS
from headpatterns.comparison.probing import MODEL
from headpatterns.presentation import style
from headpatterns.presentation.inputs import read_run_table
from headpatterns.studies.adaptation import figure1

TITLES = {"before": "A", "after": "B", "change": "B − A"}
OF_STUDY = {"a": "before", "b": "after", "change": "change"}
ACROSS = 4
"""Panels per row."""


def heads(runs: Path, table: pd.DataFrame) -> Figure:
    """Heat maps of every probe set, layer × head: A, B, and B − A."""
    rows = table[(table["quantity"] == OF_HEADS) & table["state"].isin(OF_STUDY)]
    shown = pd.DataFrame(
        {
            "model": MODEL,
            "task": rows["probe_set"],
            "seed": "0",
            "state": rows["state"].map(OF_STUDY),
            **{column: rows[column].astype(float) for column in figure1.NUMBERS},
        }
    )
    return figure1.draw(read_run_table(runs), shown, runs, TITLES)


def layers(table: pd.DataFrame) -> Figure:
    """The mean level of each layer, for A and for B, with intervals: one panel per probe set."""
    rows = table[(table["quantity"] == OF_LAYERS) & table["state"].isin(("a", "b"))]
    probe_sets = list(dict.fromkeys(rows["probe_set"]))
    across = min(len(probe_sets), ACROSS)
    down = -(-len(probe_sets) // across)
    figure = style.new_figure(0.7 + 2.3 * across, 0.3 + 2.0 * down)
    for place, name in enumerate(probe_sets):
        axes = style.axes_at(figure, 0.7 + 2.3 * (place % across), 0.3 + 2.0 * (place // across), 1.75, 1.4)
        for number, state in enumerate(("a", "b")):
            of_state = rows[(rows["probe_set"] == name) & (rows["state"] == state)]
            layer, value, low, high = (of_state[column].to_numpy(float) for column in ("layer", "value", "low", "high"))
            colour = style.LINE_COLOURS[number]
            axes.plot(
                layer, value, color=colour, label=state.upper(), linewidth=1, marker=style.MARKERS[number], markersize=2
            )
            axes.fill_between(layer, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.set_title(name)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("layer", labelpad=1)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
        axes.yaxis.get_offset_text().set_fontsize(style.SMALL)
        if place == 0:
            axes.set_ylabel("mean level of the heads")
            axes.legend(frameon=False)
    return figure


def alike(table: pd.DataFrame) -> Figure:
    """Correlations over heads between the patterns of probe sets: for A, for B, and for the change rates."""
    rows = table[table["other"] != ""]
    names = list(dict.fromkeys(table["probe_set"]))
    left, side = style.text_width(names) + 0.15, max(1.2, 0.32 * len(names))
    figure = style.new_figure(left + 3 * (side + 0.12), 0.3 + side + 0.72 * left + 0.75)
    for place, (state, title) in enumerate({"a": "A", "b": "B", "change_rate": "change rate"}.items()):
        square = rows[rows["state"] == state].pivot(index="probe_set", columns="other", values="value")
        values = square.reindex(index=names, columns=names).to_numpy(float, copy=True)
        np.fill_diagonal(values, 1.0)
        axes = style.axes_at(figure, left + place * (side + 0.12), 0.3, side, side)
        axes.imshow(values, cmap=style.colour_map(style.SIGNED), vmin=-1, vmax=1)
        for (row, column), value in np.ndenumerate(values):
            ink = "white" if abs(value) > 0.6 else "black"
            axes.text(column, row, style.compact(value), ha="center", va="center", size=style.SMALL, color=ink)
        axes.set_title(title)
        axes.set_yticks(range(len(names)), names if place == 0 else [])
        axes.set_xticks(range(len(names)), names)
        axes.tick_params(axis="x", rotation=45, rotation_mode="xtick")
        axes.tick_params(size=0, pad=2)
    bar = style.axes_at(figure, left + 1.5 * side - 1.1, 0.3 + side + 0.72 * left + 0.2, 2.2, 0.1)
    style.colour_bar(bar, style.SIGNED, -1, 1, "correlation over heads", ticks=[-1, 0, 1])
    return figure
