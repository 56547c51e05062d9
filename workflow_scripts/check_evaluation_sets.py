"""Check that every evaluation set can be evaluated: that it has items, and every item a gold answer to compare."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.evaluation import checks


def main(arguments: argparse.Namespace) -> None:
    """Read every set and write how many items of either kind it has."""
    checks.own_sets(arguments.set, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument(
        "--set",
        nargs="+",
        action="append",
        required=True,
        metavar=("NAME", "FILE"),
        help="NAME PARQUET, and perhaps a CSV (dataset, id) of the items that belong to the set; once for each set",
    )
    p.add_argument("--output", type=Path, required=True, help="CSV: items of each set, with options and without")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
