"""What Tables 2 and 3 have in common: labels and order of their rows, and how an accuracy is shown."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from headpatterns.errors import InputError
from headpatterns.presentation.elements import Table, caption
from headpatterns.presentation.inputs import RunTable, read_table

NUMBERS = ("value", "low", "high", "spread")
"""Columns of the analyses: accuracy, its interval, and its standard deviation over seeds and draws."""


def labelled(rows: pd.DataFrame, labels: Mapping[str, Mapping[str, str]], source: Path | str) -> pd.DataFrame:
    """`rows` in the order of the labels' keys, with a column `<name>_label` for each column `<name>` of `labels`.

    Raises:
        InputError: a value has no label; `source` is named.
    """
    for column, known in labels.items():
        for value in rows[column]:
            if value not in known:
                raise InputError(
                    f"{source} names the {column} {value!r}, which the table of variants does not hold: "
                    "make both from the same config."
                )
        rows = rows.assign(**{f"{column}_label": rows[column].map(known)})
    places = {column: {value: place for place, value in enumerate(known)} for column, known in labels.items()}
    return rows.sort_values(list(labels), key=lambda values: values.map(places[str(values.name)]), kind="stable")


def cell(row: pd.Series) -> str:
    """`accuracy ± spread [low, high]` in per cent with two decimals; what is undefined is left out."""
    if not np.isfinite(row["value"]):
        return ""
    value, low, high, spread = (f"{100 * row[name]:.2f}" for name in ("value", "low", "high", "spread"))
    shown = f"{value} ± {spread}" if np.isfinite(row["spread"]) else value
    return f"{shown} [{low}, {high}]" if np.isfinite(row["low"]) and np.isfinite(row["high"]) else shown


def unique(values: Iterable[str]) -> list[str]:
    """Every value once, in order of first appearance."""
    return list(dict.fromkeys(values))


def ranks(path: Path, keys: Sequence[str], captions: Path, runs: RunTable) -> Table:
    """Where what the paper proposes stands among random draws, one row for each seed; empty without random draws.

    Args:
        path: CSV with the columns `keys` (the first is `model`), `seed`, `draws`, `value`, `draws_mean`, `rank` and
            `p_value`.
        keys: what is compared.
        captions: folder with the caption, whose name is that of the file.
        runs: what models are called.

    Raises:
        InputError: the file is missing or faulty.
    """
    rows = read_table(path, (*keys, "seed"), ("draws", "value", "draws_mean", "rank", "p_value"), may_be_empty=True)
    cells = [
        [
            runs.model_label(row["model"]),
            *(row[key] for key in [*keys[1:], "seed"]),
            *(f"{100 * row[name]:.2f}" for name in ("value", "draws_mean")),
            f"{row['rank']:g} of {row['draws'] + 1:.0f}",
            f"{row['p_value']:.3f}",
        ]
        for row in rows.to_dict("records")
    ]
    return Table(
        anchor=path.stem.replace("_", "-"),
        title="Rank among random draws",
        header=[*(key.capitalize() for key in [*keys, "seed"]), "Accuracy", "Mean of the draws", "Rank", "p"],
        rows=cells,
        numeric=[False] * (len(keys) + 1) + [True] * 4,
        path=f"{path.parent.name}/{path.name}",
        caption=caption(captions / f"{path.stem}.rst"),
    )
