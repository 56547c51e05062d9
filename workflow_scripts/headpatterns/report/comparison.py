"""Experiments side by side as a page, as Markdown and as CSV files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns.io import atomic_path, write_csv
from headpatterns.presentation.elements import Table, estimate
from headpatterns.presentation.grids import Grid, markdown_lines
from headpatterns.presentation.sections import render
from headpatterns.report import experiments
from headpatterns.report.claims import VERDICTS
from headpatterns.report.experiments import (
    KINDS,
    NUMBERS,
    Column,
    Differences,
    Experiment,
    Kind,
    Side,
    Verdicts,
)

LONGEST = 120
"""Characters of a config's value on the page; config.csv has all of them."""


@dataclass(frozen=True)
class Found:
    """The results of some experiments, side by side.

    Attributes:
        differences: as `experiments.differences` gives them.
        verdicts: as `experiments.verdicts`.
        numbers: of each kind of table, as `experiments.side_by_side`.
    """

    differences: Differences
    verdicts: Verdicts
    numbers: Sequence[tuple[Kind, Side]]


def write(folders: Sequence[Path], output: Path) -> None:
    """Compare experiments, and write comparison.html, comparison.md, config.csv, verdicts.csv and tables.csv.

    Raises:
        InputError: they cannot be compared (`experiments.opened`).
    """
    compared = experiments.opened(folders)
    found = _found(compared)
    tables = list(_tables(compared, found))
    agreed, several = experiments.agreement(found.verdicts)
    tally = f"Of {several} statements that two or more columns have, {agreed} have the same verdict in all of them."
    warnings = experiments.warnings(compared)
    page = render("comparison.html.j2", __package__, compared=compared, warnings=warnings, tables=tables, tally=tally)
    _write_numbers(compared, found, output)
    for name, content in {"comparison.html": page, "comparison.md": digest(compared, warnings, tally, tables)}.items():
        with atomic_path(output / name) as temporary:
            temporary.write_text(f"{content}\n", encoding="utf-8")
    print(f"{tally} The full comparison: {output}/comparison.html")


def _found(compared: Sequence[Experiment]) -> Found:
    """The contents of their files, each read once."""
    return Found(
        experiments.differences([one.config for one in compared]),
        experiments.verdicts(compared),
        [(kind, experiments.side_by_side(compared, kind)) for kind in KINDS],
    )


def _tables(compared: Sequence[Experiment], found: Found) -> Iterator[Table]:
    """The tables of the page."""
    yield config_table(compared, found.differences)
    yield verdict_table(compared, found.verdicts)
    for kind, numbers in found.numbers:
        if (shown := number_table(compared, kind, numbers)).rows:
            yield shown


def config_table(compared: Sequence[Experiment], differences: Differences) -> Table:
    """The keys in which configs differ."""
    rows = [
        [key, *(value if len(value) <= LONGEST else f"{value[:LONGEST]}…" for value in values)]
        for key, values in differences.items()
    ]
    header = ["Key", *(str(one.folder) for one in compared)]
    return Table("config", "Where the configs differ", header, rows, [False] * len(header), "config.csv")


def verdict_table(compared: Sequence[Experiment], rows: Verdicts) -> Table:
    """Every statement, with the verdicts of all columns; statements with different verdicts come first."""
    columns = experiments.columns_of(rows, compared)
    cells = []
    for (_, statement, about), by_column in rows.items():
        told = [_verdict(by_column[column]) if column in by_column else "" for column in columns]
        differ = len({row["verdict"] for row in by_column.values()}) > 1
        cells.append((not differ, ["≠" if differ else "", statement, about, *told]))
    header = ["", "Statement", "About", *map(_called, columns)]
    ordered = [row for _, row in sorted(cells, key=lambda cell: cell[0])]
    return Table("verdicts", "Verdicts", header, ordered, [False] * len(header), "verdicts.csv")


def _verdict(row: dict[str, Any]) -> str:
    number = estimate(*(row[name] for name in NUMBERS))
    return f"{VERDICTS.get(row['verdict'], row['verdict'])}, {number}"


def number_table(compared: Sequence[Experiment], kind: Kind, rows: Side) -> Table:
    """The numbers of one kind of table that the page shows."""
    columns = experiments.columns_of(rows, compared)
    names = [key for key in kind.keys if key not in kind.shown]
    cells = []
    for place, by_column in rows.items():
        told = dict(zip(kind.keys, place, strict=False))
        if all(told[key] == value for key, value in kind.shown.items()):
            numbers = [estimate(*by_column[column]) if column in by_column else "–" for column in columns]
            cells.append([*(told[name] for name in names), place[-1], *numbers])
    header = [*names, "quantity", *map(_called, columns)]
    numeric = [False] * (len(names) + 1) + [True] * len(columns)
    return Table(Path(kind.path).stem, kind.title, header, cells, numeric, "tables.csv")


def _called(column: Column) -> str:
    folder, model = column
    return f"{folder}: {model}"


def digest(compared: Sequence[Experiment], warnings: Sequence[str], tally: str, tables: Sequence[Table]) -> str:
    """The page in Markdown."""
    parts = [f"# {' against '.join(str(one.folder) for one in compared)}", *(f"**Note.** {one}" for one in warnings)]
    for one in tables:
        texts = one.numeric.count(False)
        grid = Grid(one.title, [], one.header[:texts], one.header[texts:], one.rows)
        told = [tally] if one.anchor == "verdicts" else []
        parts += [
            f"## {one.title}",
            *told,
            "\n".join(markdown_lines(grid)) if one.rows else "There are no differences.",
        ]
    return "\n\n".join(parts)


def _write_numbers(compared: Sequence[Experiment], found: Found, output: Path) -> None:
    """The CSV files, with every row and every digit."""
    header = ["key", *(str(one.folder) for one in compared)]
    write_csv(output / "config.csv", header, [[key, *values] for key, values in found.differences.items()])
    verdicts = [
        [claim, about, *column, row["verdict"], *(row[name] for name in NUMBERS)]
        for (claim, _, about), by_column in found.verdicts.items()
        for column, row in by_column.items()
    ]
    header = ["claim", "about", "experiment", "model", "verdict", *NUMBERS]
    write_csv(output / "verdicts.csv", header, verdicts)
    numbers = [
        [Path(kind.path).stem, ".".join(filter(None, place[:-1])), place[-1], *column, *number]
        for kind, rows in found.numbers
        for place, by_column in rows.items()
        for column, number in by_column.items()
    ]
    header = ["table", "row", "quantity", "experiment", "model", "value", "low", "high"]
    write_csv(output / "tables.csv", header, numbers)
