"""The report's section on the effect of base patterns on Figure 4: do pairs rank alike on changes and controls?"""

from pathlib import Path

import pandas as pd

from headpatterns.presentation.elements import Table, caption, estimate
from headpatterns.presentation.inputs import RunTable, read_table
from headpatterns.presentation.results import Results
from headpatterns.presentation.sections import Section, render

HERE = Path(__file__).parent
TEXT = ("model", "group", "complex", "control", "best_on_changes", "best_on_control")
NUMBERS = ("pairs", "spearman", "low", "high")
CONTROLS = {"base": "base patterns alone", "partialled": "changes without their base pattern"}


def section(results: Results) -> list[Section]:
    """One table; no section if no group has three pairs to rank.

    Raises:
        InputError: a file is missing or faulty.
    """
    path = results.analysis("composition_controls")
    rows = read_table(path, TEXT, NUMBERS, may_be_empty=True)
    if rows.empty:
        return []
    table = controls(rows, results.runs, path)
    return [Section(table.anchor, table.title, render("section.html.j2", __package__, table=table))]


def controls(rows: pd.DataFrame, runs: RunTable, source: Path) -> Table:
    """One row for each model, group and control."""
    cells = [
        [
            runs.model_label(row["model"]),
            row["group"],
            runs.task_label(row["complex"]),
            CONTROLS[row["control"]],
            f"{row['pairs']:.0f}",
            estimate(row["spearman"], row["low"], row["high"]),
            pair_label(row["best_on_changes"], runs),
            pair_label(row["best_on_control"], runs),
        ]
        for row in rows.to_dict("records")
    ]
    return Table(
        anchor="composition-controls",
        title="How much of Figure 4 comes from base patterns",
        header=["Model", "Group", "Complex task", "Control", "Pairs", "Spearman's ρ with changes",
                "Best pair on changes", "Best pair on the control"],
        rows=cells,
        numeric=[False] * 4 + [True] * 2 + [False] * 2,
        path=f"{source.parent.name}/{source.name}",
        caption=caption(HERE / "controls.rst"),
    )  # fmt: skip


def pair_label(terms: str, runs: RunTable) -> str:
    """The labels of a pair's tasks; a dash if there is no pair."""
    return " + ".join(map(runs.task_label, terms.split("+"))) if terms else "–"
