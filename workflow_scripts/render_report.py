"""Render the report of an experiment: one HTML page with its figures, tables, claims and provenance inside."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line


def main(arguments: argparse.Namespace) -> None:
    """Render the page and write it."""
    from headpatterns.errors import InputError
    from headpatterns.io import atomic_path
    from headpatterns.report import page

    validity = {
        "picture": arguments.validity_figure,
        "correlations": arguments.validity,
        "between": arguments.validity_between,
        "contrasts": arguments.validity_contrasts,
    }
    if any(validity.values()) and not all(validity.values()):
        raise InputError(
            "--validity-figure, --validity, --validity-between and --validity-contrasts make one section: "
            "give all four or none."
        )
    rendered = page.render(
        experiment=arguments.experiment,
        runs=arguments.runs,
        figures=arguments.figures,
        table1=arguments.table1,
        captions=arguments.captions,
        claims=arguments.claims,
        provenance=arguments.provenance,
        data=arguments.data,
        training=arguments.training,
        benchmarks=arguments.benchmarks,
        others=arguments.tables,
        table2=arguments.table2,
        mixture_figure=arguments.mixture_figure,
        mixture=arguments.mixture,
        mixture_reports=arguments.mixture_reports,
        table3=arguments.table3,
        scores=arguments.scores,
        validity_tables=validity if arguments.validity else None,
        labels=command_line.by_name(arguments.label, "--label", "NAME=LABEL"),
    )
    with atomic_path(arguments.output) as temporary:
        temporary.write_text(rendered, encoding="utf-8")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--experiment", required=True, help="name of the experiment")
    p.add_argument("--runs", type=Path, required=True, help="run table (runs.csv)")
    p.add_argument("--figures", type=Path, nargs="+", required=True, help="SVG or PNG files, in the order of the page")
    p.add_argument("--table1", type=Path, required=True, help="tables/table1.csv")
    p.add_argument("--tables", type=Path, nargs="*", default=[], help="further CSV tables, shown after Table 1")
    p.add_argument("--table2", type=Path, help="tables/table2.csv")
    p.add_argument("--mixture-figure", type=Path, help="SVG or PNG file of the mixtures, shown with Table 2")
    p.add_argument("--mixture", type=Path, help="analysis/mixture.csv, shown with Table 2")
    p.add_argument(
        "--mixture-reports",
        type=Path,
        nargs="*",
        default=[],
        help="report.json of each mixture, whose notes are shown under Table 2",
    )
    p.add_argument("--table3", type=Path, help="tables/table3.csv")
    p.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=LABEL",
        help="what to call a model or task that the run table does not hold; once for each",
    )
    p.add_argument("--scores", type=Path, help="analysis/scores.csv")
    p.add_argument("--validity-figure", type=Path, help="SVG or PNG file of the study validity")
    p.add_argument("--validity", type=Path, help="analysis/validity.csv")
    p.add_argument("--validity-between", type=Path, help="analysis/validity_between.csv")
    p.add_argument("--validity-contrasts", type=Path, help="analysis/validity_contrasts.csv")
    p.add_argument("--captions", type=Path, required=True, help="folder of captions, <name of the figure or table>.rst")
    p.add_argument("--claims", type=Path, required=True, help="analysis/claims.csv")
    p.add_argument("--data", type=Path, help="analysis/data.csv")
    p.add_argument("--training", type=Path, help="CSV about the fine-tuning runs, any columns")
    p.add_argument("--benchmarks", type=Path, help="CSV of time and memory by rule, any columns")
    p.add_argument("--provenance", type=Path, required=True, help="JSON: key to value, or section to (key to value)")
    p.add_argument("--output", type=Path, required=True, help="the page, report.html")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
