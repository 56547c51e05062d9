"""Whether similarity goes with transfer, and with rows or form, for readers."""

from pathlib import Path

import numpy as np
import pandas as pd

from headpatterns.presentation import style
from headpatterns.presentation.grids import Grid
from headpatterns.presentation.inputs import RunTable, read_run_table, read_table

MANTEL_TEXT = ("model", "matrix", "design", "statistic")
FORMS_TEXT = ("model", "matrix", "shared")
NUMBERS = ("value", "low", "high", "critical", "p_least", "p", "p_adjusted")
FORMS_NUMBERS = tuple(name for name in NUMBERS if name != "critical")
MATRICES = {
    "before": "before SFT",
    "after": "after SFT",
    "change_rate": "change rate",
    "log_ratio": "log(after / before)",
    "transfer": "gain",
}
SHARED = {"rows": "same rows", "form": "same form"}


def tabulate(runs: Path, mantel: Path, forms: Path) -> tuple[pd.DataFrame, list[Grid]]:
    """Every test with labels, and the grids, from runs.csv and the analyses transfer_mantel and transfer_forms.

    Raises:
        InputError: a file cannot be used, or names a model that the run table lacks.
    """
    labels = read_run_table(runs).of_study("adaptation")
    tests = labelled(read_table(mantel, MANTEL_TEXT, NUMBERS), labels, mantel)
    contrasts = labelled(read_table(forms, FORMS_TEXT, FORMS_NUMBERS, may_be_empty=True), labels, forms)
    table = pd.concat([tests, contrasts.assign(design="", statistic="")], ignore_index=True).fillna({"shared": ""})
    columns = ["model", "model_label", "matrix", "design", "statistic", "shared", *NUMBERS]
    return table.reindex(columns=columns), grids(table)


def labelled(rows: pd.DataFrame, labels: RunTable, source: Path) -> pd.DataFrame:
    """The rows with labels of models, which the run table must have."""
    labels.order("model", rows["model"], source)
    return rows.assign(model_label=rows["model"].map(labels.model_label))


def grids(table: pd.DataFrame) -> list[Grid]:
    """Mantel's tests, and what rows and form add where there are variants."""
    is_test = table["design"] != ""
    tests, contrasts = table[is_test], table[~is_test]
    found = [
        Grid(
            "Similarity and transfer: correlation [95 % interval], p (p corrected over models and matrices)",
            ["Model"],
            ["Similarity", "Cells", "Statistic"],
            ["Correlation", "p"],
            [[row["model_label"], MATRICES[row["matrix"]], row["design"], row["statistic"], *cells(row)]
             for _, row in tests.iterrows()],
            long=True,
        )
    ]  # fmt: skip
    if len(contrasts):
        rows = [[row["model_label"], MATRICES[row["matrix"]], SHARED[row["shared"]], *cells(row)]
                for _, row in contrasts.iterrows()]  # fmt: skip
        title = "What sharing the rows, or the form, adds [95 % interval], p (p corrected over models and matrices)"
        found.append(Grid(title, ["Model"], ["Relation", "Pairs with"], ["Difference", "p"], rows))
    return found


def cells(row: pd.Series) -> list[str]:
    """`0.44 [0.10, 0.70]` and `0.0030 (0.036)`; empty where there is no number."""
    if not np.isfinite(row["value"]):
        return ["", ""]
    return [
        style.interval(row["value"], row["low"], row["high"]),
        f"{style.number(row['p'])} ({style.number(row['p_adjusted'])})",
    ]
