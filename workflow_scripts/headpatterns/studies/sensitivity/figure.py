"""Verdicts under every way to read patterns: a row for each number of a claim, a column for each way."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from headpatterns.presentation import style
from headpatterns.presentation.inputs import ALL_MODELS, RunTable, read_run_table, read_table
from headpatterns.studies import reading

NUMBER = ["claim", "model", "about"]
FIELDS = list(reading.FIELDS)
TEXT = (*NUMBER, *FIELDS, "verdict", "usual")
SUMMARY_TEXT = (*NUMBER, "verdict", "ways", "alike")
# Verdicts differ in lightness as well as hue, and each cell has its letter.
COLOURS = {
    "holds": ("#00507a", "white", "H"),
    "reversed": ("#d5744a", "black", "R"),
    "negligible": ("#f3d98b", "black", "N"),
    "undecided": ("#ffffff", "black", "U"),
    "not testable": ("#bdbdbd", "black", "–"),
}
SHOWN = {
    "none": "as it is", "loss": "/ loss", "sum": "/ sum", "samples": "samples", "batches_of_four": "batches",
    "false": "no constant", "true": "constant", "log_ratio": "log ratio",
}  # fmt: skip
"""Words for values of the config that are shown under another name."""

CELL = 0.155
MOST = 36
"""The most columns side by side."""


def figures(runs: Path, sensitivity: Path, summary: Path) -> dict[str, Figure]:
    """`figure_sensitivity`, from runs.csv, analysis/sensitivity.csv and analysis/sensitivity_summary.csv.

    Raises:
        InputError: a file cannot be used.
    """
    labels = read_run_table(runs)
    rows, alike = read_table(sensitivity, TEXT), read_table(summary, SUMMARY_TEXT, may_be_empty=True)
    return {"figure_sensitivity": draw(labels, rows, alike)}


def draw(labels: RunTable, rows: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Draw the panels below one another; claims that depend on the same choices are drawn together."""
    panels = list(split(rows))
    names = {key: name_of(key, labels) for key in dict.fromkeys(map(tuple, rows[NUMBER].to_numpy()))}
    shares = {tuple(row[:3]): f"{row[5]} of {row[4]}" for row in summary[list(SUMMARY_TEXT)].itertuples(index=False)}
    ways = [[tuple(way) for way in panel.columns] for panel in panels]
    shared = [common(of_panel) for of_panel in ways]
    heads = [[label_of(own(way, alike)) for way in of_panel] for of_panel, alike in zip(ways, shared, strict=True)]
    left = style.text_width(names.values()) + 0.12
    tops = [style.text_width(labelled) + 0.14 for labelled in heads]
    widest = max(len(panel.columns) for panel in panels)
    heights = [top + CELL * len(panel) + 0.16 for top, panel in zip(tops, panels, strict=True)]
    figure = style.new_figure(left + CELL * widest + 0.85, sum(heights) + 0.35)
    key(figure, left)
    place = 0.35
    for panel, top, height, labelled, alike in zip(panels, tops, heights, heads, shared, strict=True):
        style.text_at(figure, 0.06, place + top - 0.14, label_of(alike), weight="bold", va="bottom")
        axes = style.axes_at(figure, left, place + top, CELL * len(panel.columns), CELL * len(panel))
        show(axes, panel, labelled, [names[number] for number in panel.index])
        for line, number in enumerate(panel.index):
            axes.text(len(panel.columns) - 0.3, line, shares.get(number, ""), size=style.SMALL, va="center")
        place += height
    return figure


def split(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Verdicts of numbers × ways for each set of choices that matter, split further if there are too many columns."""
    for _, found in rows.groupby([rows[name] != "" for name in FIELDS], sort=False):
        numbers = list(dict.fromkeys(map(tuple, found[NUMBER].to_numpy())))
        ways = list(dict.fromkeys(map(tuple, found[FIELDS].to_numpy())))
        cells = dict(
            zip(zip(map(tuple, found[NUMBER].to_numpy()), map(tuple, found[FIELDS].to_numpy()), strict=True),
                found["verdict"], strict=True)
        )  # fmt: skip
        for start in range(0, len(ways), MOST):
            shown = ways[start : start + MOST]
            yield pd.DataFrame(
                [[cells.get((number, way), "") for way in shown] for number in numbers],
                index=pd.Index(numbers, tupleize_cols=False),
                columns=pd.Index(shown, tupleize_cols=False),
            )


def show(axes: Axes, panel: pd.DataFrame, columns: Sequence[str], lines: Sequence[str]) -> None:
    """Draw one panel: coloured cells with letters, the way above each column and the number beside each row."""
    order = list(COLOURS)
    values = [[order.index(cell) if cell in COLOURS else np.nan for cell in line] for line in panel.to_numpy()]
    palette = ListedColormap([colour for colour, _, _ in COLOURS.values()]).with_extremes(bad=style.MISSING)
    axes.imshow(np.array(values, dtype=float), cmap=palette, vmin=-0.5, vmax=len(order) - 0.5, aspect="auto")
    for verdict, (_, ink, letter) in COLOURS.items():
        places, of_columns = np.nonzero(panel.to_numpy() == verdict)
        # All letters of a kind are one collection, because single texts take ten times as long.
        axes.scatter(of_columns, places, s=16, marker=rf"$\mathrm{{{letter}}}$", color=ink, linewidths=0)
    axes.set_xticks(range(len(columns)), columns, rotation=90)
    axes.set_yticks(range(len(lines)), lines)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, pad=2)
    for edges, draw_at in ((len(columns), axes.axvline), (len(lines), axes.axhline)):
        for edge in range(1, edges):
            draw_at(edge - 0.5, color=style.MISSING, linewidth=0.4)


def key(figure: Figure, left: float) -> None:
    """Explain the colours and letters above all panels."""
    across, down = figure.get_size_inches()
    for verdict, (colour, ink, letter) in COLOURS.items():
        box = Rectangle((left / across, 1 - 0.2 / down), CELL / across, CELL / down, transform=figure.transFigure,
                        facecolor=colour, edgecolor=style.FAINT, linewidth=0.4)  # fmt: skip
        figure.add_artist(box)
        middle = {"size": style.SMALL, "va": "center_baseline"}
        style.text_at(figure, left + CELL / 2, 0.2 - CELL / 2, letter, color=ink, ha="center", **middle)
        style.text_at(figure, left + CELL + 0.04, 0.2 - CELL / 2, verdict, **middle)
        left += CELL + 0.16 + style.text_width([verdict])


def name_of(number: tuple[str, ...], labels: RunTable) -> str:
    """The label of a row: claim, model, and what else it is about."""
    claim, model, about = number
    parts = [claim.replace("_", " "), labels.model_label(model) if model else ALL_MODELS, about]
    return ", ".join(filter(None, parts))


def common(ways: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The values that all ways of a panel share, empty where they differ; the panel's title, if there are several."""
    if len(ways) < 2:
        return ("",) * len(FIELDS)
    return tuple(values[0] if len(set(values)) == 1 else "" for values in zip(*ways, strict=True))


def own(way: tuple[str, ...], shared: tuple[str, ...]) -> tuple[str, ...]:
    """The values of a way that are not in its panel's title."""
    return tuple("" if alike else value for value, alike in zip(way, shared, strict=True))


def label_of(way: tuple[str, ...]) -> str:
    """The label of a column: the values of the choices that matter."""
    return " · ".join(SHOWN.get(value, value) for value in way if value)
