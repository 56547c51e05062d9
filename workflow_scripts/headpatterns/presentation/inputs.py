"""The two kinds of files behind figures, tables and the report: the run table and the analysis tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from headpatterns.errors import InputError
from headpatterns.experiment import run_table
from headpatterns.io import read_csv


def read_table(
    path: Path, text: Sequence[str], numbers: Sequence[str] = (), may_be_empty: bool = False
) -> pd.DataFrame:
    """Read a CSV with at least the columns `text` (kept as strings) and `numbers` (floats, an empty field is NaN).

    Raises:
        InputError: the file is missing, lacks a column, has a word instead of a number, or has no row although it must
            not be empty.
    """
    columns = list(dict.fromkeys([*text, *numbers]))
    rows = read_csv(path, columns)
    if not rows and not may_be_empty:
        raise InputError(
            f"{path} has no rows, so there is nothing to draw: remove the file and run the rule that writes it."
        )
    table = pd.DataFrame(rows, columns=None if rows else columns, dtype=str)
    for column in numbers:
        written = table[column].where(~table[column].str.lower().isin(["", "nan"]))
        table[column] = pd.to_numeric(written, errors="coerce").astype(float)
        if (wrong := written.notna() & table[column].isna()).any():
            row = int(np.flatnonzero(wrong)[0])
            raise InputError(
                f"{path}, row {row + 1}: the column {column!r} has {written[row]!r}, which is not a number: "
                "remove the file and run the rule that writes it."
            )
    return table


ALL_MODELS = "all models"
"""The model of a statement that is not about a single model."""


@dataclass(frozen=True)
class RunTable:
    """The run table, with the labels of models and tasks and their display order.

    `labels` has labels of models and tasks that are not in the table.
    """

    path: Path
    rows: pd.DataFrame
    labels: Mapping[str, str] = field(default_factory=dict)

    def of_study(self, study: str) -> "RunTable":
        """The rows of one study, with its own order and families."""
        rows = self.rows[self.rows["study"] == study]
        if rows.empty:
            raise InputError(f"{self.path} has no run of the study {study!r}: add that study to the config.")
        return RunTable(self.path, rows, self.labels)

    def order(self, column: str, present: Iterable[str], source: Path | str) -> list[str]:
        """The values `present` of the column `model` or `task` in display order; `source` is named in the error."""
        known = list(dict.fromkeys(self.rows[column]))
        present = set(present)
        if unknown := sorted(present - set(known)):
            raise InputError(
                f"{source} names the {column} {unknown[0]!r}, but the run table {self.path} does not have it: "
                "make both from the same config."
            )
        return [value for value in known if value in present]

    def model_label(self, model: str) -> str:
        """The label of a model in figures; by default its name."""
        return self._first("model", model, "model_label") or self.labels.get(model, model)

    def task_label(self, task: str) -> str:
        """The label of a task in figures; by default its name."""
        return self._first("task", task, "task_label") or self.labels.get(task, task)

    def family(self, task: str) -> str:
        """The family of a task, empty if it has none."""
        return self._first("task", task, "family")

    def _first(self, column: str, key: str, wanted: str) -> str:
        found = self.rows.loc[self.rows[column] == key, wanted]
        return "" if found.empty else str(found.iloc[0])


def read_run_table(path: Path, labels: Mapping[str, str] | None = None) -> RunTable:
    """Read the run table (one row for each study and run, in display order); `labels` are for names outside of it."""
    return RunTable(Path(path), read_table(path, run_table.COLUMNS, may_be_empty=True), labels or {})


def mean_over_seeds(table: pd.DataFrame, keys: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """Average `numbers` over everything except `keys` (over the seeds), keeping the order of first appearance.

    The bounds of an interval are averaged like its estimate. Probe samples are the same for all seeds, so the seeds'
    intervals are correlated, and their mean is not narrower with more seeds.
    """
    return table.groupby(list(keys), sort=False)[list(numbers)].mean().reset_index()


def row_at(rows: pd.DataFrame, key: tuple[str, ...]) -> "pd.Series[Any]":
    """The row of `key` in a table with a unique index of several columns."""
    return cast("pd.Series[Any]", rows.xs(key))
