"""Does training on a mixture of basic tasks first help on the complex task (Table 2, Eq. 4)?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headpatterns.errors import InputError
from headpatterns.experiment.variants import VARIANTS, model_labels, read_variants
from headpatterns.io import read_csv
from headpatterns.statistics import SHARE, estimate_and_interval
from headpatterns.statistics.accuracy import RANK_COLUMNS, accuracy, difference, ranked, spread
from headpatterns.studies.mixing.proportions import COEFFICIENT_COLUMNS, PICK_COLUMNS
from headpatterns.studies.outcomes import outcomes
from headpatterns.studies.table import Table

COLUMNS = ("model", "variant", "items", "value", "low", "high", "spread")
DIFFERENCE_COLUMNS = ("model", "better", "worse", "value", "low", "high")
COMPARISONS = (("ours", "sft"), ("ours", "random"), ("sft", "base"), ("ours", "base"))


def compute(
    variants: Path,
    items: Sequence[Path],
    coefficients: Sequence[Path],
    picks: Sequence[Path],
    resamples: int,
    seed: int,
) -> dict[str, Table]:
    """Accuracies of all variants, differences between them, and the coefficients and picks behind the mixtures.

    Args:
        variants: variants.csv; the mixing study is used.
        items: CSV files of evaluate, single items.
        coefficients: CSV files of mix_basic_tasks, coefficients.csv.
        picks: the same, picks.csv.
        resamples: bootstrap replicates of the evaluation set.
        seed: seed of the bootstrap.

    Returns:
        `accuracy` of every variant; `differences` between variants; `ranks` of the mixture among random ones, by seed;
        `mixture`: coefficients of all models and seeds; `picks`: how often the bootstrap makes each choice.

    Raises:
        InputError: a file cannot be used, or what is to be compared was not made alike.
    """
    rows_of_study = read_variants(variants, "mixing")
    found = outcomes(rows_of_study, items, resamples, seed)
    rows: list[tuple[Any, ...]] = []
    differences: list[tuple[Any, ...]] = []
    ranks: list[tuple[Any, ...]] = []
    for model in model_labels(rows_of_study):
        own = {variant: [outcome] for (name, _, variant, _), outcome in found.items() if name == model}
        for variant in filter(own.get, VARIANTS["mixing"]):
            interval = estimate_and_interval(accuracy(own[variant]), limits=SHARE)
            rows.append((model, variant, own[variant][0].items, *interval, spread(own[variant])))
        for better, worse in COMPARISONS:
            if better in own and worse in own:
                interval = estimate_and_interval(difference(own[better], own[worse]))
                differences.append((model, better, worse, *interval))
        if "ours" in own and "random" in own:
            ranks += [(model, *one.row) for one in ranked(own["ours"], own["random"])]
    return {
        "accuracy": Table(COLUMNS, rows),
        "differences": Table(DIFFERENCE_COLUMNS, differences),
        "ranks": Table(("model", *RANK_COLUMNS), ranks),
        "mixture": Table(COEFFICIENT_COLUMNS, joined(coefficients, COEFFICIENT_COLUMNS, ("model", "seed", "task"))),
        "picks": Table(PICK_COLUMNS, joined(picks, PICK_COLUMNS, ("model", "seed", "of", "tasks"))),
    }


def joined(paths: Sequence[Path], columns: Sequence[str], key: Sequence[str]) -> list[tuple[str, ...]]:
    """The rows of all files in one table; `key` are the columns that tell them apart.

    Raises:
        InputError: two rows are about the same.
    """
    rows: dict[tuple[str, ...], tuple[str, ...]] = {}
    for path in paths:
        for number, row in enumerate(read_csv(path, columns), start=1):
            place = tuple(row[column] for column in key)
            if place in rows:
                named = ", ".join(f"{column} {row[column]}" for column in key)
                raise InputError(f"{path}, row {number}: {named} stands there twice: give every such table once.")
            rows[place] = tuple(row[column] for column in columns)
    return list(rows.values())
