"""Table 3: what a model reaches in a domain after training on selected or on random samples."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from headpatterns.experiment.variants import ALL_DOMAINS, Variant, domain_labels, model_labels, read_variants
from headpatterns.presentation.grids import Grid
from headpatterns.presentation.inputs import read_table
from headpatterns.studies.accuracies import NUMBERS, TITLES, cell, labelled

SELECTION_TEXT = ("model", "measure", "domain", "variant", "budget", "items")
TEXT = ("model_label", "measure", "domain", "domain_label", "variant", "budget")
METHODS = {
    "base": "base model",
    "pattern": "selected by patterns",
    "random": "random",
    "base-pattern": "by the base model's patterns",
    "nearest": "by the nearest pattern",
    "bm25": "by BM25",
    "signed": "by signed patterns",
    "by-layer": "by patterns within layers",
    "rds": "by hidden states (RDS+)",
    "less": "by gradients (LESS)",
    "ifd": "by IFD",
    "mid-perplexity": "by middle perplexity",
    "top-perplexity": "by highest perplexity",
    "oracle": "oracle",
}


def tabulate(variants: Path, selection: Path) -> tuple[pd.DataFrame, list[Grid]]:
    """Table 3 and its grids, from variants.csv and analysis/selection.csv.

    Raises:
        InputError: a file cannot be used, or as `table3`.
    """
    rows = read_table(selection, SELECTION_TEXT, NUMBERS)
    table = table3(read_variants(variants, "selection"), rows, selection)
    return table, table3_grids(table)


def table3(variants: Sequence[Variant], selection: pd.DataFrame, source: Path | str = "selection.csv") -> pd.DataFrame:
    """The rows of selection.csv (columns `SELECTION_TEXT` and `NUMBERS`) in display order, with labels.

    Raises:
        InputError: a model or domain that the variants do not have; `source` is named.
    """
    domains = {ALL_DOMAINS: "mean over domains", **domain_labels(variants)}
    rows = labelled(selection, {"model": model_labels(variants), "domain": domains}, source)
    return rows[["model", "model_label", "measure", "domain", "domain_label", "variant", "budget", "items", *NUMBERS]]


def table3_grids(table: pd.DataFrame) -> list[Grid]:
    """Methods as rows and budgets as columns: of each measure the mean over domains, then every domain.

    The table has the columns `TEXT` and `NUMBERS`. The base model has seen none of the samples; its
    number is repeated for every budget.
    """
    grids = []
    for measure, found in table.groupby("measure", sort=False):
        means, domains = found[found["domain"] == ALL_DOMAINS], found[found["domain"] != ALL_DOMAINS]
        title = (
            f"{TITLES[str(measure)]}, mean over domains, after fine-tuning on n samples "
            "± standard deviation over seeds and draws [95 % interval]"
        )
        by_domain = {"Model": "model_label", "Domain": "domain_label"}
        grids += [
            selection_grid(means, title, {"Model": "model_label"}),
            selection_grid(domains, "The same by domain", by_domain, long=True),
        ]
    return grids


def selection_grid(table: pd.DataFrame, title: str, groups: Mapping[str, str], long: bool = False) -> Grid:
    """One of the two tables; `groups` maps headers to the columns whose values form groups of rows."""
    budgets = sorted({budget for budget in table["budget"] if budget}, key=int)
    rows = []
    for group, found in table.groupby(list(groups.values()), sort=False):
        cells = {(row["variant"], row["budget"]): cell(row) for _, row in found.iterrows()}
        for method in (method for method in METHODS if method in set(found["variant"])):
            numbers = [cells.get((method, "" if method == "base" else budget), "") for budget in budgets]
            rows.append([*map(str, group), METHODS[method], *numbers])
    return Grid(title, list(groups), ["Training samples"], [f"n = {budget}" for budget in budgets], rows, long)
