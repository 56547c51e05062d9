"""Shared parts of Tables 2 and 3: labels and order of their rows, and the format of their numbers."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from headpatterns.errors import InputError
from headpatterns.presentation.elements import Table, caption
from headpatterns.presentation.inputs import RunTable, read_table

NUMBERS = ("value", "low", "high", "spread")
"""Columns of the analyses: the value, its interval, and its standard deviation over seeds and draws."""

SHOWN = {"accuracy": (100, 2), "nll": (1, 3)}
"""By measure: the factor of its numbers, and the number of decimals."""

TITLES = {
    "accuracy": "Accuracy in per cent",
    "nll": "Negative log-likelihood of the gold answer in nats per token (lower is better)",
}
"""By measure: a description of its numbers."""

HEADERS = {"accuracy": "Accuracy in per cent", "nll": "NLL in nats per token"}
"""By measure: a short description of its numbers."""


def labelled(rows: pd.DataFrame, labels: Mapping[str, Mapping[str, str]], source: Path | str) -> pd.DataFrame:
    """`rows` in the order of the labels' keys, with a column `<name>_label` for each column `<name>` of `labels`.

    Raises:
        InputError: a value has no label; `source` is named.
    """
    for column, known in labels.items():
        for value in rows[column]:
            if value not in known:
                raise InputError(
                    f"{source} names the {column} {value!r}, but the table of variants does not have it: make "
                    "both from the same config."
                )
        rows = rows.assign(**{f"{column}_label": rows[column].map(known)})
    places = {column: {value: place for place, value in enumerate(known)} for column, known in labels.items()}
    return rows.sort_values(list(labels), key=lambda values: values.map(places[str(values.name)]), kind="stable")


def cell(row: pd.Series) -> str:
    """`value ± spread [low, high]`, an accuracy in per cent with two decimals; undefined parts are left out."""
    if not np.isfinite(row["value"]):
        return ""
    value, low, high, spread = (written(row["measure"], row[name]) for name in ("value", "low", "high", "spread"))
    shown = f"{value} ± {spread}" if np.isfinite(row["spread"]) else value
    return f"{shown} [{low}, {high}]" if np.isfinite(row["low"]) and np.isfinite(row["high"]) else shown


def written(measure: str, value: float) -> str:
    """A number of a measure as it is shown."""
    factor, decimals = SHOWN[measure]
    return f"{factor * value:.{decimals}f}"


def unique(values: Iterable[str]) -> list[str]:
    """Every value once, in order of first appearance."""
    return list(dict.fromkeys(values))


def ranks(path: Path, keys: Sequence[str], captions: Path, runs: RunTable) -> Table:
    """The ranks of the paper's choices among random draws, one row for each seed; empty without random draws.

    Args:
        path: CSV with the columns `keys` (the first is `model`), `measure`, `seed`, `draws`, `value`, `draws_mean`,
            `rank` and `p_value`.
        keys: what is compared.
        captions: folder with the caption, whose name is that of the file.
        runs: what models are called.

    Raises:
        InputError: the file is missing or faulty.
    """
    rows = read_table(
        path, (*keys, "measure", "seed"), ("draws", "value", "draws_mean", "rank", "p_value"), may_be_empty=True
    )
    cells = [
        [
            runs.model_label(row["model"]),
            *(row[key] for key in [*keys[1:], "seed"]),
            HEADERS[row["measure"]],
            *(written(row["measure"], row[name]) for name in ("value", "draws_mean")),
            f"{row['rank']:g} of {row['draws'] + 1:.0f}",
            f"{row['p_value']:.3f}",
        ]
        for row in rows.to_dict("records")
    ]
    return Table(
        anchor=path.stem.replace("_", "-"),
        title="Rank among random draws",
        header=[*(key.capitalize() for key in [*keys, "seed"]), "Measure", "Value", "Mean of the draws", "Rank", "p"],
        rows=cells,
        numeric=[False] * (len(keys) + 2) + [True] * 4,
        path=f"{path.parent.name}/{path.name}",
        caption=caption(captions / f"{path.stem}.rst"),
    )


def differences(path: Path, keys: Sequence[str], captions: Path, runs: RunTable, variants: Mapping[str, str]) -> Table:
    """The gain of one variant over another, one row for each comparison, for accuracies and log-likelihoods.

    Args:
        path: CSV with the columns `keys` (the first is `model`), `measure`, `better`, `worse`, `value`, `low`, `high`,
            `spread` and `varies`.
        keys: what is compared.
        captions: folder with the caption, whose name is that of the file.
        runs: what models are called.
        variants: labels of variants.

    Raises:
        InputError: the file is missing or faulty.
    """
    place = (*keys, "better", "worse")
    rows = read_table(path, (*place, "measure", "varies"), NUMBERS, may_be_empty=True)
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows.to_dict("records"):
        own = found.setdefault(tuple(row[name] for name in place), {"varies": row["varies"]})
        own[row["measure"]] = cell(pd.Series(row)).replace("-", "−")
    cells = [
        [
            runs.model_label(model),
            *others,
            f"{variants[better]} − {variants[worse]}",
            *(own.get(name, "") for name in (*SHOWN, "varies")),
        ]
        for (model, *others, better, worse), own in found.items()
    ]
    return Table(
        anchor=path.stem.replace("_", "-"),
        title="Differences",
        header=[*(key.capitalize() for key in keys), "Gain", *HEADERS.values(), "In the interval"],
        rows=cells,
        numeric=[False] * (len(keys) + 1) + [True] * len(SHOWN) + [False],
        path=f"{path.parent.name}/{path.name}",
        caption=caption(captions / f"{path.stem}.rst"),
    )
