"""The page of a comparison: one HTML file with its tables and pictures, which fetches nothing."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from headpatterns.comparison import pictures
from headpatterns.comparison.numbers import LOSS, NUMBERS, OF_HEADS
from headpatterns.comparison.pair import Checkpoint
from headpatterns.presentation import style
from headpatterns.presentation.elements import Table, estimate
from headpatterns.presentation.sections import render

STATISTICS = {
    LOSS: "Loss (nats per token)",
    "level": "Mean level",
    "gini": "Gini",
    "cv": "CV",
    "kurtosis": "Kurtosis",
    "coherence": "Coherence",
}
BETWEEN = {"pearson": "r(A, B)", "spearman": "ρ(A, B)"}
OF_CHANGE = {"rising": "Share of heads that rise"}
MOST = 10
"""Number of heads with the largest changes to show for each probe set."""


def page(pair: Sequence[Checkpoint], runs: Path, table: pd.DataFrame, about: Mapping[str, Any]) -> str:
    """The page as HTML.

    Args:
        pair: the two checkpoints.
        runs: table of runs of the comparison.
        table: its numbers, as `numbers.compared` gives them.
        about: further entries of their provenance, in order.
    """
    with style.applied():
        shown = {"heads": svg(pictures.heads(runs, table)), "layers": svg(pictures.layers(table))}
        if (table["other"] != "").any():
            shown["alike"] = svg(pictures.alike(table))
    return render(
        "page.html.j2",
        __package__,
        pair=pair,
        summary=summary(table),
        likeness=likeness(table),
        most=most_changed(table),
        pictures=shown,
        about=about,
    )


def svg(figure: Any) -> str:
    """A figure as a data URI."""
    content = io.BytesIO()
    figure.savefig(content, format="svg", bbox_inches="tight", pad_inches=0.04, metadata=style.METADATA[".svg"])
    return f"data:image/svg+xml;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"


def summary(table: pd.DataFrame) -> Table:
    """Statistics of both patterns and their change, a row for each probe set and statistic."""
    rows = []
    for name in dict.fromkeys(table["probe_set"]):
        for statistic, title in STATISTICS.items():
            found = table[(table["probe_set"] == name) & (table["quantity"] == statistic)].set_index("state")
            if not found.empty:
                cells = [estimate(*found.loc[state, list(NUMBERS)].astype(float)) for state in ("a", "b", "change")]
                rows.append([str(name), title, *cells])
    return Table("summary", "Both patterns", ["Probe set", "", "A", "B", "B − A"], rows, [False] * 2 + [True] * 3)


def likeness(table: pd.DataFrame) -> Table:
    """The similarity of the two patterns on each probe set, and the share of heads that rise."""
    rows = []
    for name in dict.fromkeys(table["probe_set"]):
        own = table[table["probe_set"] == name]
        cells = []
        for statistic in (*BETWEEN, *OF_CHANGE):
            found = own[(own["quantity"] == statistic) & own["state"].isin(["", "change"])]
            cells.append(estimate(*found.iloc[0][list(NUMBERS)].astype(float)))
        rows.append([str(name), *cells])
    header = ["Probe set", *BETWEEN.values(), *OF_CHANGE.values()]
    return Table("likeness", "A against B", header, rows, [False] + [True] * (len(header) - 1))


def most_changed(table: pd.DataFrame) -> Table:
    """The heads whose level changes most, up or down, for each probe set."""
    rows = []
    heads = table[table["quantity"] == OF_HEADS]
    for name, own in heads.groupby("probe_set", sort=False):
        by_state = {state: one.set_index(["layer", "head"]) for state, one in own.groupby("state")}
        sizes = by_state["change"]["value"].astype(float).abs().sort_values(ascending=False, kind="stable")
        for layer, head in sizes.index[:MOST]:
            cells = [
                estimate(*by_state[state].loc[(layer, head), list(NUMBERS)].astype(float))
                for state in ("a", "b", "change")
            ]
            rows.append([str(name), str(layer), str(head), *cells])
    header = ["Probe set", "Layer", "Head", "A", "B", "B − A"]
    return Table("heads-that-change", "Heads that change most", header, rows, [False] + [True] * 5)
