"""Check that every evaluation set can be evaluated: that it has items, and that every item can be scored."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.evaluation import checks, options


def main(arguments: argparse.Namespace) -> None:
    """Read every set and write the number of its items of each kind."""
    checks.own_sets(options.asked(arguments), arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    options.add(p)
    p.add_argument(
        "--output", type=Path, required=True, help="CSV: number of items of each set, with and without options"
    )
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
