"""Hold the paper's statements of sections 4 and 5 against the analysis: which hold, which fail or stay undecided."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.studies import commands


def main(arguments: argparse.Namespace) -> None:
    """Write one row for each statement and model, for the studies whose claims are given."""
    commands.collect_claims(arguments.claims, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument(
        "--claims",
        required=True,
        metavar="JSON",
        help='array of objects: "judge" (the function of a study\'s claims), "inputs" (a path by keyword), "settings"',
    )
    p.add_argument("--output", type=Path, required=True, help="CSV of statements with value, interval and verdict")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
