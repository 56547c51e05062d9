"""Table 2: the scores of the mixing variants on the target."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from headpatterns.experiment.variants import Variant, model_labels, read_variants
from headpatterns.presentation.grids import Grid
from headpatterns.presentation.inputs import read_table
from headpatterns.studies.accuracies import NUMBERS, TITLES, cell, labelled, unique

MIXING_TEXT = ("model", "measure", "variant", "items")
TEXT = ("model_label", "measure", "variant")
VARIANTS = {
    "base": "Base",
    "sft": "SFT",
    "random": "Random",
    "uniform": "Uniform",
    "size-proportional": "By size",
    "grid": "Best of grid",
    "ours": "Ours",
    "oracle": "Oracle",
}


def tabulate(variants: Path, mixing: Path) -> tuple[pd.DataFrame, list[Grid]]:
    """Table 2 and its grids, from variants.csv and analysis/mixing.csv.

    Raises:
        InputError: a file cannot be used, or as `table2`.
    """
    rows = read_table(mixing, MIXING_TEXT, NUMBERS)
    table = table2(read_variants(variants, "mixing"), rows, mixing)
    return table, table2_grids(table)


def table2(variants: Sequence[Variant], mixing: pd.DataFrame, source: Path | str = "mixing.csv") -> pd.DataFrame:
    """The rows of mixing.csv (columns `MIXING_TEXT`, `NUMBERS`), models in display order and with labels.

    Raises:
        InputError: a model that the variants do not have; `source` is named.
    """
    rows = labelled(mixing, {"model": model_labels(variants)}, source)
    return rows[["model", "model_label", "measure", "variant", "items", *NUMBERS]]


def table2_grids(table: pd.DataFrame) -> list[Grid]:
    """Models as rows and variants as columns, one grid for each measure (columns `TEXT` and `NUMBERS` of the table)."""
    variants = [variant for variant in VARIANTS if variant in set(table["variant"])]
    grids = []
    for measure, found in table.groupby("measure", sort=False):
        cells = {(row["model_label"], row["variant"]): cell(row) for _, row in found.iterrows()}
        rows = [[model, *(cells.get((model, one), "") for one in variants)] for model in unique(found["model_label"])]
        title = f"{TITLES[str(measure)]} on the target task ± standard deviation over seeds and draws [95 % interval]"
        grids.append(Grid(title, [], ["Model"], [VARIANTS[variant] for variant in variants], rows))
    return grids
