"""The report's section on mixing basic tasks: Table 2, the mixtures, and the coefficients behind them."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from headpatterns.errors import InputError
from headpatterns.io import read_json
from headpatterns.presentation.elements import Table, caption, estimate, figure, grid_tables, paper_values
from headpatterns.presentation.inputs import RunTable, read_table
from headpatterns.presentation.results import Results
from headpatterns.presentation.sections import Section
from headpatterns.studies import accuracies
from headpatterns.studies.accuracies import NUMBERS, differences, ranks
from headpatterns.studies.application import Application, rendered
from headpatterns.studies.mixing import table2

HERE = Path(__file__).parent
COEFFICIENT_TEXT = ("model", "seed", "task", "kept", "instructions")
COEFFICIENT_NUMBERS = ("beta", "low", "high", "r2", "share")
PICK_TEXT = ("model", "seed", "of", "tasks", "kept")
PICK_NUMBERS = ("share", "chance")
PART_TEXT = ("model", "seed", "of", "tasks", "parts", "kept", "hits")
PART_NUMBERS = ("value", "resampled", "low", "high", "expected", "p_value")
GRID_TEXT, GRID_NUMBERS = ("model", "measure", "shares", "best"), ("value", "low", "high")
FITS = {"change": "changes", "base": "base patterns alone", "partialled": "changes without base pattern"}


def section(results: Results) -> list[Section]:
    """Table 2, notes on its mixtures, the differences behind it, whether true parts are kept, the figure, the
    coefficients, how often the bootstrap makes each choice, and the rank of ours among random mixtures.

    Raises:
        InputError: a file is missing or faulty.
    """
    path = results.table("table2")
    rows = read_table(path, table2.TEXT, NUMBERS)
    mixtures = read_table(results.analysis("mixture"), COEFFICIENT_TEXT, COEFFICIENT_NUMBERS, may_be_empty=True)
    made = Application(
        anchor="mixing-basic-tasks",
        title="Mixing basic tasks",
        tables=grid_tables(table2.table2_grids(rows), path, HERE, ["", "log-likelihood"]),
        paper=paper_table(),
        captioned=[
            differences(results.analysis("mixing_differences"), ["model"], HERE, results.runs, table2.VARIANTS),
            *parts(results.analysis("mixture_parts"), results.runs),
            *of_grid(results.analysis("mixture_grid"), results.runs),
        ],
        figure=figure(results.figure("mixture"), HERE),
        folded=[
            coefficients(mixtures, results.runs),
            picks(read_table(results.analysis("mixture_picks"), PICK_TEXT, PICK_NUMBERS), results.runs),
            ranks(results.analysis("mixing_ranks"), ["model"], HERE, results.runs),
        ],
        notes=notes(results, mixtures),
    )
    return [rendered(made)]


def paper_table() -> Table:
    """Table 2 as the paper reports it."""
    values = paper_values(HERE / "paper_table2.csv")
    variants = [variant for variant in table2.VARIANTS if variant in values]
    return Table(
        anchor="paper-table2",
        title="Table 2 of the paper",
        header=["Model", *(table2.VARIANTS[variant] for variant in variants)],
        rows=values[["model", *variants]].to_numpy().tolist(),
        numeric=[False] + [True] * len(variants),
    )


def parts(path: Path, runs: RunTable) -> list[Table]:
    """One row for each model, seed and fit: how many kept tasks are true parts; no table if the parts are unknown."""
    rows = read_table(path, PART_TEXT, PART_NUMBERS, may_be_empty=True)
    cells = [
        [
            runs.model_label(row["model"]),
            row["seed"],
            FITS[row["of"]],
            f"{row['hits']} of {row['kept']}",
            f"{100 * row['value']:.0f} %",
            f"{100 * row['resampled']:.1f} % [{100 * row['low']:.0f}, {100 * row['high']:.0f}]",
            f"{100 * row['expected']:.1f} %",
            f"{row['p_value']:.3f}",
        ]
        for row in rows.to_dict("records")
    ]
    made = Table(
        anchor="mixture-parts",
        title="Are the kept tasks the true parts?",
        header=["Model", "Seed", "Fit to", "True parts", "Precision", "Of the resamples", "By chance", "p"],
        rows=cells,
        numeric=[False] * 3 + [True] * 5,
        path=f"{path.parent.name}/{path.name}",
        caption=caption(HERE / "mixture_parts.rst"),
    )
    return [made] if cells else []


def of_grid(path: Path, runs: RunTable) -> list[Table]:
    """One row for each model, measure and point of the grid; no table without a grid."""
    rows = read_table(path, GRID_TEXT, GRID_NUMBERS, may_be_empty=True)
    cells = [
        [
            runs.model_label(row["model"]),
            accuracies.TITLES[row["measure"]],
            row["shares"],
            accuracies.cell(row),
            "yes" if row["best"] == "1" else "",
        ]
        for _, row in rows.assign(spread=float("nan")).iterrows()
    ]
    made = Table(
        anchor="mixture-grid",
        title="What score does each mixture of the grid reach?",
        header=["Model", "Measure", "Shares", "Value [95 % interval]", "Best"],
        rows=cells,
        numeric=[False] * 3 + [True, False],
        path=f"{path.parent.name}/{path.name}",
        caption=caption(HERE / "mixture_grid.rst"),
    )
    return [made] if cells else []


def notes(results: Results, mixtures: pd.DataFrame) -> Sequence[str]:
    """The notes on the mixtures of every model and seed in the coefficients."""
    pairs = dict.fromkeys(zip(mixtures["model"], mixtures["seed"], strict=True))
    return [note for pair in pairs if (note := note_of(results.mixture(*pair, "report.json")))]


def note_of(mixture_report: Path) -> str:
    """The note on a mixture of fewer tasks than requested; empty otherwise.

    Raises:
        InputError: the file is missing or is no report of a mixture.
    """
    try:
        return str(read_json(mixture_report)["note"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{mixture_report} is not a readable report with a note: run the rule mix_basic_tasks again."
        ) from error


def coefficients(rows: pd.DataFrame, runs: RunTable) -> Table:
    """One row for each model, seed and basic task."""
    cells = [
        [
            runs.model_label(row["model"]),
            row["seed"],
            runs.task_label(row["task"]),
            estimate(row["beta"], row["low"], row["high"]),
            f"{row['r2']:.3f}",
            f"{100 * row['share']:.1f} %" if row["kept"] == "1" else "",
            row["instructions"] if row["kept"] == "1" else "",
        ]
        for row in rows.to_dict("records")
    ]
    return Table(
        anchor="coefficients",
        title="Coefficients",
        header=["Model", "Seed", "Basic task", "β [95 % interval]", "R²", "Share of the mixture", "Instructions"],
        rows=cells,
        numeric=[False, False, False, True, True, True, True],
        path="analysis/mixture.csv",
        caption=caption(HERE / "mixture_table.rst"),
    )


def picks(rows: pd.DataFrame, runs: RunTable) -> Table:
    """One row for each choice of tasks made by the estimate or a replicate of the bootstrap."""
    made = rows[(rows["share"] > 0) | (rows["kept"] == "1")]
    cells = [
        [
            runs.model_label(row["model"]),
            row["seed"],
            FITS[row["of"]],
            " + ".join(map(runs.task_label, row["tasks"].split("+"))) if row["tasks"] else "none",
            f"{100 * row['share']:.1f} %",
            f"{100 * row['chance']:.1f} %",
            "yes" if row["kept"] == "1" else "",
        ]
        for row in made.to_dict("records")
    ]
    return Table(
        anchor="mixture-picks",
        title="How often each choice is made",
        header=["Model", "Seed", "Fit to", "Tasks", "Share of replicates", "By chance", "Choice of the estimate"],
        rows=cells,
        numeric=[False] * 4 + [True] * 2 + [False],
        path="analysis/mixture_picks.csv",
        caption=caption(HERE / "picks_table.rst"),
    )
