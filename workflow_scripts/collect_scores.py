"""Join the table of variants with the results of their evaluations: one table of all scores."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.studies.benchmarks import scores


def main(arguments: argparse.Namespace) -> None:
    """Write every row of the table of variants with the counts, accuracy and interval of its evaluation."""
    scores.collect(arguments.variants, arguments.scores, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument(
        "--variants", type=Path, required=True, help="variants.csv: what was evaluated, and as which variant"
    )
    p.add_argument("--scores", type=Path, nargs="+", required=True, help="CSV files of evaluate")
    p.add_argument("--output", type=Path, required=True, help="CSV of the variants with their scores")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
