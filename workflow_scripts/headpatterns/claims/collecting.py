"""The tables about claims: competence.csv, claims.csv and the list of claims that are left out."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from headpatterns.claims import competence, judging, measured
from headpatterns.claims.registry import Claim
from headpatterns.evaluation import sets
from headpatterns.io import write_csv


def assess(scores: Path | None, given: Iterable[Sequence[str]], effects: Mapping[str, Path], output: Path) -> None:
    """Write competence.csv.

    Args:
        scores: scores.csv; None where nothing is evaluated.
        given: the evaluation sets that consist of instructions, each a name, a parquet and perhaps a CSV of ids.
        effects: tables of effects by study.
        output: the CSV.

    Raises:
        InputError: a file cannot be used.
    """
    chances = {name: competence.chance_of(items) for name, items in map(sets.read_given, given)}
    found = [(study, one) for study, path in effects.items() for one in measured.read(path)]
    write_csv(output, competence.COLUMNS, competence.rows(scores, chances, found))


def collect(
    registry: Mapping[str, Sequence[Claim]],
    effects: Mapping[str, Sequence[Path]],
    assessed: Path,
    stands_for: Mapping[str, str],
    output: Path,
    left_out: Path,
) -> None:
    """Judge the claims and write both tables; what is left out is printed too.

    Args:
        registry: claims by study.
        effects: tables of effects by study, of the studies that the experiment has.
        assessed: competence.csv.
        stands_for: the paper's model by the name of one here.
        output: claims.csv.
        left_out: CSV of the claims that are not about this experiment.

    Raises:
        InputError: a file cannot be used.
    """
    found = {study: [one for path in paths for one in measured.read(path)] for study, paths in effects.items()}
    judged, missing = judging.judge(registry, found, competence.read(assessed), stands_for)
    for claim, _, _, reason in missing:
        print(f"left out: {claim}: {reason}.", file=sys.stderr)
    write_csv(output, judging.COLUMNS, [one.row for one in judged])
    write_csv(left_out, judging.LEFT_OUT_COLUMNS, missing)
