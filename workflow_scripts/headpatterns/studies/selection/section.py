"""The report's section on selecting data: Table 3."""

from pathlib import Path

from headpatterns.presentation.elements import Table, grid_tables, paper_values
from headpatterns.presentation.inputs import read_table
from headpatterns.presentation.results import Results
from headpatterns.presentation.sections import Section
from headpatterns.studies.accuracies import NUMBERS, ranks
from headpatterns.studies.application import Application, rendered
from headpatterns.studies.selection import table3

HERE = Path(__file__).parent


def section(results: Results) -> list[Section]:
    """Table 3: the mean over domains, and every domain; and where the patterns' choice stands among random ones.

    Raises:
        InputError: a file is missing or faulty.
    """
    path = results.table("table3")
    rows = read_table(path, table3.TEXT, NUMBERS)
    made = Application(
        anchor="selecting-data",
        title="Selecting data",
        tables=grid_tables(table3.table3_grids(rows), path, HERE, ["", "by domain"]),
        paper=paper_table(),
        folded=[ranks(results.analysis("selection_ranks"), ["model", "domain", "budget"], HERE, results.runs)],
    )
    return [rendered(made)]


def paper_table() -> Table:
    """Table 3 as the paper reports it."""
    values = paper_values(HERE / "paper_table3.csv")
    return Table(
        anchor="paper-table3",
        title="Table 3 of the paper",
        header=["Model", "Training samples", *(f"n = {budget}" for budget in values.columns[2:])],
        rows=values.assign(method=values["method"].map(table3.METHODS)).to_numpy().tolist(),
        numeric=[False, False] + [True] * len(values.columns[2:]),
    )
