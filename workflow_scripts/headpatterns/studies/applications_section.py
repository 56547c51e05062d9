"""The report's sections on section 5: mixing basic tasks (Table 2), selecting data (Table 3), and all scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from headpatterns.errors import InputError
from headpatterns.experiment import variants as evaluations
from headpatterns.io import read_json
from headpatterns.presentation.elements import (
    Figure,
    Table,
    caption,
    estimate,
    figure,
    grid_tables,
    paper_values,
    shown_table,
)
from headpatterns.presentation.inputs import RunTable, read_table
from headpatterns.studies import accuracies as tables

COEFFICIENT_TEXT = ("model", "seed", "task", "kept", "instructions")
COEFFICIENT_NUMBERS = ("beta", "low", "high", "r2", "share")
INTERVAL = ("accuracy", "low", "high")


@dataclass(frozen=True)
class Application:
    """A section: its tables, the first beside the paper's and above the notes, perhaps a picture, and perhaps one more
    table, folded."""

    anchor: str
    title: str
    tables: list[Table]
    paper: Table
    figure: Figure | None = None
    folded: Table | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Scores:
    """What the evaluations found: shares of answers by study and model, and every score."""

    shares: Table
    every: Table


def mixing(
    table2: Path,
    mixture_figure: Path | None,
    mixture: Path | None,
    mixture_reports: Sequence[Path],
    captions: Path,
    runs: RunTable,
) -> Application:
    """Table 2, what must be known of its mixtures, their picture and the coefficients that they were made from."""
    rows = read_table(table2, tables.TABLE2_TEXT, tables.ACCURACY_NUMBERS)
    values = paper_values("table2")
    return Application(
        anchor="mixing-basic-tasks",
        title="Mixing basic tasks",
        tables=grid_tables(tables.table2_grids(rows), table2, captions, [""]),
        paper=Table(
            anchor="paper-table2",
            title="Table 2 of the paper",
            header=["Model", *tables.VARIANTS.values()],
            rows=values[["model", *tables.VARIANTS]].to_numpy().tolist(),
            numeric=[False] + [True] * len(tables.VARIANTS),
        ),
        figure=mixture_figure and figure(mixture_figure, captions),
        folded=mixture and coefficients(mixture, captions, runs),
        notes=[note for note in map(note_of, mixture_reports) if note],
    )


def note_of(mixture_report: Path) -> str:
    """The note of a mixture of fewer tasks than asked for; empty otherwise.

    Raises:
        InputError: the file is missing or is no report of a mixture.
    """
    try:
        return read_json(mixture_report)["note"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{mixture_report} is no readable report with a note: run the rule mix_basic_tasks again."
        ) from error


def coefficients(path: Path, captions: Path, runs: RunTable) -> Table:
    """One row for each model, seed and basic task."""
    rows = read_table(path, COEFFICIENT_TEXT, COEFFICIENT_NUMBERS, may_be_empty=True)
    cells = [
        [
            runs.model_label(row.model),
            row.seed,
            runs.task_label(row.task),
            estimate(row.beta, row.low, row.high),
            f"{row.r2:.3f}",
            f"{100 * row.share:.1f} %" if row.kept == "1" else "",
            row.instructions if row.kept == "1" else "",
        ]
        for row in rows.itertuples()
    ]
    return Table(
        anchor="coefficients",
        title="Coefficients",
        header=["Model", "Seed", "Basic task", "β [95 % interval]", "R²", "Share of the mixture", "Instructions"],
        rows=cells,
        numeric=[False, False, False, True, True, True, True],
        path=f"{path.parent.name}/{path.name}",
        caption=caption(captions / "mixture_table.rst"),
    )


def selection(table3: Path, captions: Path) -> Application:
    """Table 3: the mean over domains, and every domain."""
    rows = read_table(table3, tables.TABLE3_TEXT, tables.ACCURACY_NUMBERS)
    values = paper_values("table3")
    return Application(
        anchor="selecting-data",
        title="Selecting data",
        tables=grid_tables(tables.table3_grids(rows), table3, captions, ["", "by domain"]),
        paper=Table(
            anchor="paper-table3",
            title="Table 3 of the paper",
            header=["Model", "Training samples", *(f"n = {budget}" for budget in values.columns[2:])],
            rows=values.assign(method=values["method"].map(tables.METHODS)).to_numpy().tolist(),
            numeric=[False, False] + [True] * len(values.columns[2:]),
        ),
    )


def scores(path: Path, captions: Path) -> Scores:
    """All evaluations; one that stands for several seeds counts once in the shares."""
    rows = read_table(path, (*evaluations.COLUMNS, *evaluations.COUNTS), INTERVAL)
    once = rows.drop_duplicates(["study", "model", "run", "set"])
    shares = [
        [study, model, str(len(found)), *shown_counts(found)]
        for (study, model), found in once.groupby(["study", "model_label"], sort=False)
    ]
    columns = ["study", "model_label", "seed", "variant", "draw", "budget", "domain_label", "run", "set"]
    shown = rows[[*columns, *evaluations.COUNTS]]
    shown = shown.rename(columns={"model_label": "model", "domain_label": "domain", "budget": "n"})
    every = shown_table(shown.assign(accuracy=rows.apply(per_cent, axis=1)), "every-score", "Every score")
    every.numeric[-1] = True
    header = ["Study", "Model", "Evaluations", "Answers", "Right", "Unparsed", "Cut"]
    place, about = f"{path.parent.name}/{path.name}", caption(captions / "scores.rst")
    return Scores(Table("scores", "Scores", header, shares, [False] * 2 + [True] * 5, place, about), every)


def shown_counts(rows: pd.DataFrame) -> list[str]:
    """The number of items, then how many answers were right, unparsed and cut, with their share.

    A dash stands where some evaluation does not say how many.
    """
    counts = rows[list(evaluations.COUNTS)].apply(pd.to_numeric).sum(skipna=False)
    return [
        f"{counts['items']:.0f}",
        *(
            f"{counts[name]:.0f} ({100 * counts[name] / counts['items']:.1f} %)" if counts[name] >= 0 else "–"
            for name in evaluations.COUNTS[1:]
        ),
    ]


def per_cent(row: pd.Series) -> str:
    """`accuracy [low, high]` in per cent; the interval is left out where there is none."""
    value, low, high = (f"{100 * row[name]:.2f}" for name in INTERVAL)
    return f"{value} [{low}, {high}]" if np.isfinite(row["low"]) else value
