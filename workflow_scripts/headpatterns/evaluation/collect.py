"""What was evaluated and as what, joined with what the evaluations found."""

from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path

from headpatterns import tidy
from headpatterns.experiment import variants as evaluations


def collect(variants: Path, scores: Sequence[Path], output: Path) -> None:
    """Write every row of a table of variants with the counts, accuracy and interval of its evaluation.

    A set of several datasets has a row for each of them.

    Args:
        variants: variants.csv.
        scores: the CSV files of evaluations.
        output: CSV of the variants with their scores.

    Raises:
        InputError: a table cannot be used, or a variant has no evaluation.
    """
    rows_of_variants = evaluations.read_variants(variants)
    found_scores = evaluations.read_scores(scores)
    rows = []
    for variant in rows_of_variants:
        for found in evaluations.scores_of(variant, found_scores):
            named = replace(variant, set=found["set"])
            rows.append((*astuple(named), *(found[column] for column in evaluations.NUMBERS)))
    tidy.write(output, (*evaluations.COLUMNS, *evaluations.NUMBERS), rows)
