"""What Tables 2 and 3 have in common: labels and order of their rows, and how an accuracy is shown."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from headpatterns.errors import InputError

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
