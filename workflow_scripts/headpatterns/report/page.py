"""Everything the report shows, gathered from its input files and filled into the page's template."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from headpatterns.errors import InputError
from headpatterns.io import read_json
from headpatterns.presentation.elements import (
    Table,
    caption,
    estimate,
    figure,
    grid_tables,
    paper_values,
    plain_table,
    shown_table,
    title_of,
)
from headpatterns.presentation.inputs import RunTable, read_run_table, read_table
from headpatterns.studies import applications_section as applications
from headpatterns.studies.adaptation import table1 as tables
from headpatterns.studies.validity import section as validity

CLAIM_COLUMNS = ("claim", "where", "statement", "model", "value", "low", "high", "verdict")
VERDICTS = {"holds": "✓ holds", "fails": "✗ fails", "undecided": "? undecided"}


def render(
    experiment: str,
    runs: Path,
    figures: Sequence[Path],
    table1: Path,
    captions: Path,
    claims: Path,
    provenance: Path,
    data: Path | None = None,
    training: Path | None = None,
    benchmarks: Path | None = None,
    others: Sequence[Path] = (),
    table2: Path | None = None,
    mixture_figure: Path | None = None,
    mixture: Path | None = None,
    mixture_reports: Sequence[Path] = (),
    table3: Path | None = None,
    scores: Path | None = None,
    validity_tables: Mapping[str, Path] | None = None,
    labels: Mapping[str, str] | None = None,
) -> str:
    """The whole page as HTML, with nothing that a browser would have to fetch.

    Args:
        experiment: name of the experiment.
        runs: run table; it also says what models are called.
        figures: SVG or PNG files; each needs a caption of its name in `captions`.
        table1: CSV as written by `headpatterns.tables`.
        captions: folder of `<name>.rst`; `workflow.rst` is the introduction.
        claims: CSV with the columns `CLAIM_COLUMNS`.
        provenance: JSON, key to value or section to (key to value).
        data: CSV of any columns, what became of the raw rows.
        training: CSV of any columns, the fine-tuning runs.
        benchmarks: CSV of any columns, time and memory by rule.
        others: further CSV tables, each shown under its file's name with the caption of that name if there is one.
        table2: CSV as written by `headpatterns.tables`: the section on mixing basic tasks.
        mixture_figure: SVG or PNG file, shown beside Table 2.
        mixture: CSV of the coefficients behind it, shown beside Table 2.
        mixture_reports: JSON about each mixture, whose notes are shown under Table 2.
        table3: CSV as written by `headpatterns.tables`: the section on selecting data.
        scores: CSV of all evaluations.
        validity_tables: the figure and tables of the section on validity, as `validity.section` names them.
        labels: what models and tasks are called that the run table does not hold.

    Raises:
        InputError: a file is missing or lacks a column.
    """
    import jinja2

    run_table = read_run_table(runs, labels)
    pictures = [figure(path, captions) for path in figures]
    first, *by_task = spread_tables(table1, captions)
    more = [plain_table(path, path.stem, title_of(path.stem), captions) for path in others]
    claim_rows = read_table(claims, CLAIM_COLUMNS, ("value", "low", "high"), may_be_empty=True)
    sections = []
    if table2:
        sections.append(applications.mixing(table2, mixture_figure, mixture, mixture_reports, captions, run_table))
    if table3:
        sections.append(applications.selection(table3, captions))
    applied = [shown for section in sections for shown in section.tables[:1]]
    anchors = {shown.title.lower(): shown.anchor for shown in (*pictures, first, *applied, *more)}
    optional = {
        "data": data and plain_table(data, "data", "Data"),
        "training": training and plain_table(training, "training", "Fine-tuning"),
        "benchmarks": benchmarks and plain_table(benchmarks, "timings", "Time and memory"),
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("headpatterns.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.j2").render(
        experiment=experiment,
        introduction=caption(captions / "workflow.rst"),
        provenance=provenance_sections(provenance),
        claims=claim_groups(claim_rows, run_table, anchors),
        tally=tally(claim_rows),
        figures=pictures,
        table1=first,
        table1_tasks=by_task,
        paper=paper_table(),
        applications=sections,
        others=more,
        scores=scores and applications.scores(scores, captions),
        validity=validity_tables and validity.section(**validity_tables, captions=captions, runs=run_table),
        studies=studies(run_table),
        runs=all_runs(run_table),
        **optional,
    )


def spread_tables(path: Path, captions: Path) -> list[Table]:
    """Table 1 as two: the models' means over tasks, and every task; the second only if there are tasks."""
    statistics = [f"{name}{ending}" for name in tables.STATISTICS for ending in ("", "_low", "_high")]
    rows = read_table(path, ("model_label", "task", "task_label", "state"), statistics)
    return grid_tables(tables.table1_grids(rows), path, captions, ["", "task by task"])


def paper_table() -> Table:
    """Table 1 as the paper reports it, for other models, data and sizes: to be set beside, never mixed in."""
    rows = paper_values("table1")
    cells = []
    for model in rows["model"].unique():
        for state in ("before", "after"):
            found = rows[rows["model"] == model].set_index("statistic")[state]
            cells.append([model, state, *(found[name] for name in tables.STATISTICS)])
    return Table(
        anchor="paper-table1",
        title="Table 1 of the paper",
        header=["Model", "State", *tables.STATISTICS.values()],
        rows=cells,
        numeric=[False, False] + [True] * len(tables.STATISTICS),
    )


def claim_groups(rows: pd.DataFrame, runs: RunTable, anchors: dict[str, str]) -> list[dict[str, Any]]:
    """Claims in the order of the file, each with one line a model.

    Raises:
        InputError: a verdict is none of holds, fails, undecided.
    """
    groups = []
    for (_, where, statement), found in rows.groupby(["claim", "where", "statement"], sort=False):
        lines = []
        for row in found.itertuples():
            if row.verdict not in VERDICTS:
                raise InputError(
                    f"The claim {row.claim!r} has the verdict {row.verdict!r}: it must be one of {', '.join(VERDICTS)}."
                )
            lines.append(
                {
                    "model": runs.model_label(row.model) if row.model else "all models",
                    "value": estimate(row.value, row.low, row.high),
                    "verdict": row.verdict,
                    "shown": VERDICTS[row.verdict],
                }
            )
        groups.append(
            {
                "where": where,
                "anchor": anchors.get(where.lower(), anchors.get(where.lower().split(",")[0])),
                "statement": statement,
                "lines": lines,
            }
        )
    return groups


def tally(rows: pd.DataFrame) -> dict[str, int]:
    """How many lines of the claims there are, in all and by verdict."""
    return {"all": len(rows), **{verdict: int((rows["verdict"] == verdict).sum()) for verdict in VERDICTS}}


def provenance_sections(path: Path) -> list[tuple[str, list[tuple[str, str]]]]:
    """(section, its (key, value) pairs); plain keys come first, in a section without a name.

    Raises:
        InputError: the file is missing or is not a JSON object.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist: run the rule that writes it first.")
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a JSON object of keys and values: remove it and run the rule that writes it.")
    plain = [(key, written(value)) for key, value in content.items() if not isinstance(value, dict)]
    nested = [
        (section, [(key, written(value)) for key, value in values.items()])
        for section, values in content.items()
        if isinstance(values, dict)
    ]
    return [("", plain), *nested] if plain else nested


def written(value: Any) -> str:
    """A JSON value for a reader."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "–"
    if isinstance(value, dict):
        return ", ".join(f"{key} {written(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(written(inner) for inner in value)
    return str(value)


def studies(runs: RunTable) -> Table:
    """How many runs, models, tasks and seeds each study and group has."""
    rows = [
        [
            study,
            group,
            ", ".join(found["model_label"].unique()),
            ", ".join(found["task_label"].unique()),
            ", ".join(found["seed"].unique()),
            str(len(found)),
        ]
        for (study, group), found in runs.rows.groupby(["study", "group"], sort=False)
    ]
    header = ["Study", "Group", "Models", "Tasks", "Seeds", "Runs"]
    return Table("runs", "Runs", header, rows, [False] * 5 + [True])


def all_runs(runs: RunTable) -> Table:
    """The run table itself, without the keys that labels stand for."""
    columns = ["study", "group", "model_label", "task_label", "family", "role", "seed", "run"]
    renamed = runs.rows[columns].rename(columns={"model_label": "model", "task_label": "task"})
    return shown_table(renamed, "all-runs", "Every run")
