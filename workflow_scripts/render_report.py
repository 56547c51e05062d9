"""Render the report of an experiment: one HTML page with its figures, tables, claims and provenance inside."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.studies import commands


def main(arguments: argparse.Namespace) -> None:
    """Render the page and write it."""
    commands.render_report(
        arguments.experiment,
        arguments.results,
        arguments.studies,
        command_line.by_name(arguments.label, "--label", "NAME=LABEL"),
        arguments.views,
        arguments.output,
        arguments.summary_output,
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--experiment", required=True, help="name of the experiment")
    p.add_argument("--results", type=Path, required=True, help="its folder")
    p.add_argument("--studies", nargs="+", required=True, help="names of the studies whose sections are shown")
    p.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=LABEL",
        help="label of a model or task that is not in the run table; repeat it for each",
    )
    p.add_argument(
        "--views", default="{}", help="JSON object: inputs and settings of each interactive view, by its name"
    )
    p.add_argument("--output", type=Path, required=True, help="path of the page, report.html")
    p.add_argument("--summary-output", type=Path, required=True, help="path of its summary in Markdown, summary.md")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
