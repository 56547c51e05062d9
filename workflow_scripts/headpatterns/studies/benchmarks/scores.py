"""The evaluated variants joined with the results of their evaluations: one table of all scores."""

from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path

from headpatterns.experiment.variants import COLUMNS, NUMBERS, read_scores, read_variants, scores_of
from headpatterns.io import write_csv


def collect(variants: Path, scores: Sequence[Path], output: Path) -> None:
    """Write every row of the table of variants with the counts, accuracy and interval of its evaluation.

    A set of several datasets has a row for each of them.

    Args:
        variants: variants.csv, the evaluated variants.
        scores: CSV files of evaluate.
        output: CSV, the variants with their scores.

    Raises:
        InputError: a file cannot be used, or an evaluation is missing or occurs twice.
    """
    chosen, found = read_variants(variants), read_scores(scores)
    rows = [
        (*astuple(replace(variant, set=row["set"])), *(row[column] for column in NUMBERS))
        for variant in chosen
        for row in scores_of(variant, found)
    ]
    write_csv(output, (*COLUMNS, *NUMBERS), rows)
