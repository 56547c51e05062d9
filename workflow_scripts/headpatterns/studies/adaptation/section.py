"""The report's section on adaptation in addition to its figures: Table 1, with the paper's."""

from pathlib import Path

from headpatterns.presentation.elements import Table, grid_tables, paper_values
from headpatterns.presentation.inputs import read_table
from headpatterns.presentation.results import Results
from headpatterns.presentation.sections import Section, render
from headpatterns.studies.adaptation.table1 import SPREAD, STATISTICS, table1_grids

HERE = Path(__file__).parent


def section(results: Results) -> list[Section]:
    """The section of Table 1.

    Raises:
        InputError: a file is missing or faulty.
    """
    table, *others = spread_tables(results.table("table1"))
    body = render("table1.html.j2", __package__, table=table, others=others, paper=paper_table())
    return [Section(table.anchor, table.title, body, targets={table.title: table.anchor})]


def spread_tables(path: Path) -> list[Table]:
    """Table 1 in parts: the models' means, spread and level, then the same by task if there are tasks."""
    statistics = [f"{name}{ending}" for name in STATISTICS for ending in ("", "_low", "_high")]
    rows = read_table(path, ("model_label", "task", "task_label", "state"), statistics)
    return grid_tables(table1_grids(rows), path, HERE, ["", "levels", "task by task", "levels task by task"])


def paper_table() -> Table:
    """The paper's Table 1, for other models, data and sizes: it is shown separately and never mixed with ours."""
    rows = paper_values(HERE / "paper_table1.csv")
    cells = []
    for model in rows["model"].unique():
        for state in ("before", "after"):
            found = rows[rows["model"] == model].set_index("statistic")[state]
            cells.append([model, state, *(found[name] for name in SPREAD)])
    return Table(
        anchor="paper-table1",
        title="Table 1 of the paper",
        header=["Model", "State", *SPREAD.values()],
        rows=cells,
        numeric=[False, False] + [True] * len(SPREAD),
    )
