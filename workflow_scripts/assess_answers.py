"""Summarise the answers of the variants of Tables 2 and 3, which decide whether claims about them can be tested."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.claims import collecting


def main(arguments: argparse.Namespace) -> None:
    """Write one row for each variant and evaluation set."""
    collecting.assess(arguments.scores, arguments.set, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument(
        "--scores", type=Path, help="CSV of the scores of every evaluation; leave it out if there are no evaluations"
    )
    p.add_argument(
        "--set",
        nargs="+",
        action="append",
        default=[],
        metavar="WORD",
        help="an evaluation set: NAME PARQUET or NAME PARQUET IDS_CSV; once for each",
    )
    p.add_argument("--output", type=Path, required=True, help="CSV of accuracies, chance levels and unreadable answers")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
