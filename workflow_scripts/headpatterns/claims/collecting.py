"""The tables about claims: answers.csv, claims.csv and the list of claims that are left out."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from headpatterns.claims import answers, judging, measured
from headpatterns.claims.competence import Competence
from headpatterns.claims.registry import Claim
from headpatterns.evaluation import sets
from headpatterns.io import write_csv


def assess(scores: Path | None, given: Iterable[Sequence[str]], output: Path) -> None:
    """Write answers.csv.

    Args:
        scores: scores.csv; None if nothing is evaluated.
        given: the evaluation sets that consist of instructions, each a name, a parquet and perhaps a CSV of ids.
        output: the CSV.

    Raises:
        InputError: a file cannot be used.
    """
    chances = {name: answers.chance_of(items) for name, items in map(sets.read_given, given)}
    write_csv(output, answers.COLUMNS, answers.rows(scores, chances))


def collect(
    registry: Mapping[str, Sequence[Claim]],
    effects: Mapping[str, Sequence[Path]],
    able: Competence,
    stands_for: Mapping[str, str],
    output: Path,
    left_out: Path,
) -> None:
    """Judge the claims and write both tables; claims that are left out are also printed.

    Args:
        registry: claims by study.
        effects: tables of effects by study, for the studies of the experiment.
        able: competence of models and variants on their tasks.
        stands_for: the corresponding model of the paper, by the name of a model here.
        output: claims.csv.
        left_out: CSV of the claims that are not about this experiment.

    Raises:
        InputError: a file cannot be used.
    """
    found = {study: [one for path in paths for one in measured.read(path)] for study, paths in effects.items()}
    judged, missing = judging.judge(registry, found, able, stands_for)
    for claim, _, _, reason in missing:
        print(f"left out: {claim}: {reason}.", file=sys.stderr)
    write_csv(output, judging.COLUMNS, [one.row for one in judged])
    write_csv(left_out, judging.LEFT_OUT_COLUMNS, missing)
