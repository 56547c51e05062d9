"""Write a table of a study for readers: its numbers as CSV, and the shown numbers as Markdown and LaTeX."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.studies import commands


def main(arguments: argparse.Namespace) -> None:
    """Make the table and write it in three formats."""
    commands.tabulate(arguments.name, arguments.inputs, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("name", help="name of the table, such as table1")
    p.add_argument("--inputs", required=True, metavar="JSON", help="JSON object: a path or a list of paths by keyword")
    p.add_argument(
        "--output",
        type=Path,
        required=True,
        help="path of the table without its suffix; .csv, .md and .tex are added",
    )
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
