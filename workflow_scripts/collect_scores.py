"""Join what was evaluated with what the evaluations found: one table of all scores."""

import argparse
from dataclasses import astuple, replace
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns import tidy
from headpatterns.experiment import variants as evaluations


def main(arguments: argparse.Namespace) -> None:
    """Write every row of the table of variants with the counts, accuracy and interval of its evaluation.

    A set of several datasets has a row for each of them.
    """
    variants = evaluations.read_variants(arguments.variants)
    scores = evaluations.read_scores(arguments.scores)
    rows = []
    for variant in variants:
        for found in evaluations.scores_of(variant, scores):
            named = replace(variant, set=found["set"])
            rows.append((*astuple(named), *(found[column] for column in evaluations.NUMBERS)))
    tidy.write(arguments.output, (*evaluations.COLUMNS, *evaluations.NUMBERS), rows)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--variants", type=Path, required=True, help="variants.csv: what was evaluated and as what")
    p.add_argument("--scores", type=Path, nargs="+", required=True, help="CSV files of evaluate")
    p.add_argument("--output", type=Path, required=True, help="CSV: the variants with their scores")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
