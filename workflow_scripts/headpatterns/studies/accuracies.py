"""Tables 2 and 3: accuracy of the variants of mixing basic tasks and of selecting data, from the analysis of both."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from headpatterns.errors import InputError
from headpatterns.experiment.variants import ALL_DOMAINS, Variant, domain_labels, model_labels
from headpatterns.presentation.grids import Grid

MIXING_TEXT = ("model", "variant", "items")
SELECTION_TEXT = ("model", "domain", "variant", "budget", "items")
ACCURACY_NUMBERS = ("value", "low", "high", "spread")
TABLE2_TEXT = ("model_label", "variant")
TABLE3_TEXT = ("model_label", "domain", "domain_label", "variant", "budget")
VARIANTS = {"base": "Base", "sft": "SFT", "random": "Random", "ours": "Ours"}
METHODS = {
    "base": "base model",
    "pattern": "selected by patterns",
    "random": "random",
    "base-pattern": "by the base model's patterns",
    "nearest": "by the nearest pattern",
    "bm25": "by BM25",
}


def table2(variants: Sequence[Variant], mixing: pd.DataFrame, source: str = "mixing.csv") -> pd.DataFrame:
    """The rows of mixing.csv (columns `MIXING_TEXT`, `ACCURACY_NUMBERS`), models in display order and with labels.

    Raises:
        InputError: a model that the variants do not have; `source` is named.
    """
    rows = labelled(mixing, {"model": model_labels(variants)}, source)
    return rows[["model", "model_label", "variant", "items", *ACCURACY_NUMBERS]]


def table3(variants: Sequence[Variant], selection: pd.DataFrame, source: str = "selection.csv") -> pd.DataFrame:
    """The rows of selection.csv (columns `SELECTION_TEXT` and `ACCURACY_NUMBERS`) in display order, with labels.

    Raises:
        InputError: a model or domain that the variants do not have; `source` is named.
    """
    domains = {ALL_DOMAINS: "mean over domains", **domain_labels(variants)}
    rows = labelled(selection, {"model": model_labels(variants), "domain": domains}, source)
    return rows[["model", "model_label", "domain", "domain_label", "variant", "budget", "items", *ACCURACY_NUMBERS]]


def labelled(rows: pd.DataFrame, labels: Mapping[str, Mapping[str, str]], source: str) -> pd.DataFrame:
    """`rows` in the order of the labels' keys, with a column `<name>_label` for each column `<name>` of `labels`."""
    for column, known in labels.items():
        for value in rows[column]:
            if value not in known:
                raise InputError(
                    f"{source} names the {column} {value!r}, which the table of variants does not hold: "
                    "make both from the same config."
                )
        rows = rows.assign(**{f"{column}_label": rows[column].map(known)})
    places = {column: {value: place for place, value in enumerate(known)} for column, known in labels.items()}
    return rows.sort_values(list(labels), key=lambda values: values.map(places[values.name]), kind="stable")


def table2_grids(table: pd.DataFrame) -> list[Grid]:
    """Models as rows and variants as columns (columns `TABLE2_TEXT` and `ACCURACY_NUMBERS` of the table)."""
    variants = [variant for variant in VARIANTS if variant in set(table["variant"])]
    cells = {(row["model_label"], row["variant"]): cell(row) for _, row in table.iterrows()}
    rows = [
        [model, *(cells.get((model, variant), "") for variant in variants)] for model in unique(table["model_label"])
    ]
    title = "Accuracy in per cent on the target task ± standard deviation over seeds and draws [95 % interval]"
    return [Grid(title, [], ["Model"], [VARIANTS[variant] for variant in variants], rows)]


def table3_grids(table: pd.DataFrame) -> list[Grid]:
    """Methods as rows and budgets as columns: the mean over domains, then every domain.

    The table has the columns `TABLE3_TEXT` and `ACCURACY_NUMBERS`. The base model has seen none of the samples; its
    number is repeated for every budget.
    """
    means, domains = table[table["domain"] == ALL_DOMAINS], table[table["domain"] != ALL_DOMAINS]
    title = (
        "Accuracy in per cent, mean over domains, after fine-tuning on n samples "
        "± standard deviation over seeds and draws [95 % interval]"
    )
    return [
        selection_grid(means, title, {"Model": "model_label"}),
        selection_grid(domains, "The same by domain", {"Model": "model_label", "Domain": "domain_label"}, long=True),
    ]


def selection_grid(table: pd.DataFrame, title: str, groups: dict[str, str], long: bool = False) -> Grid:
    """One of the two tables; `groups` maps headers to the columns whose values form groups of rows."""
    budgets = sorted({budget for budget in table["budget"] if budget}, key=int)
    rows = []
    for group, found in table.groupby(list(groups.values()), sort=False):
        cells = {(row["variant"], row["budget"]): cell(row) for _, row in found.iterrows()}
        for method in (method for method in METHODS if method in set(found["variant"])):
            numbers = [cells.get((method, "" if method == "base" else budget), "") for budget in budgets]
            rows.append([*group, METHODS[method], *numbers])
    return Grid(title, list(groups), ["Training samples"], [f"n = {budget}" for budget in budgets], rows, long)


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
