"""Does training on a mixture of basic tasks first help on the complex task (Table 2, Eq. 4)?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headpatterns.errors import InputError
from headpatterns.experiment.variants import VARIANTS, model_labels, read_variants
from headpatterns.io import read_csv
from headpatterns.statistics import SHARE, estimate_and_interval
from headpatterns.statistics.accuracy import accuracy, difference, spread
from headpatterns.studies.mixing.proportions import COEFFICIENT_COLUMNS
from headpatterns.studies.outcomes import outcomes
from headpatterns.studies.table import Table

COLUMNS = ("model", "variant", "items", "value", "low", "high", "spread")
DIFFERENCE_COLUMNS = ("model", "better", "worse", "value", "low", "high")
COMPARISONS = (("ours", "sft"), ("ours", "random"), ("sft", "base"), ("ours", "base"))


def compute(
    variants: Path, items: Sequence[Path], coefficients: Sequence[Path], resamples: int, seed: int
) -> dict[str, Table]:
    """Accuracies of all variants, differences between them, and the coefficients behind the mixtures.

    Args:
        variants: variants.csv; the mixing study is used.
        items: CSV files of evaluate, single items.
        coefficients: CSV files of mix_basic_tasks.
        resamples: bootstrap replicates of the evaluation set.
        seed: seed of the bootstrap.

    Returns:
        `accuracy` of every variant; `differences` between variants; `mixture`: coefficients of all models and seeds.

    Raises:
        InputError: a file cannot be used, or what is to be compared was not made alike.
    """
    rows_of_study = read_variants(variants, "mixing")
    found = outcomes(rows_of_study, items, resamples, seed)
    rows: list[tuple[Any, ...]] = []
    differences: list[tuple[Any, ...]] = []
    for model in model_labels(rows_of_study):
        own = {variant: [outcome] for (name, _, variant, _), outcome in found.items() if name == model}
        for variant in filter(own.get, VARIANTS["mixing"]):
            interval = estimate_and_interval(accuracy(own[variant]), limits=SHARE)
            rows.append((model, variant, own[variant][0].items, *interval, spread(own[variant])))
        for better, worse in COMPARISONS:
            if better in own and worse in own:
                interval = estimate_and_interval(difference(own[better], own[worse]))
                differences.append((model, better, worse, *interval))
    return {
        "accuracy": Table(COLUMNS, rows),
        "differences": Table(DIFFERENCE_COLUMNS, differences),
        "mixture": Table(COEFFICIENT_COLUMNS, joined(coefficients)),
    }


def joined(paths: Sequence[Path]) -> list[tuple[str, ...]]:
    """The rows of all files in one table.

    Raises:
        InputError: two rows are about the same model, seed and task.
    """
    rows: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for path in paths:
        for number, row in enumerate(read_csv(path, COEFFICIENT_COLUMNS), start=1):
            key = (row["model"], row["seed"], row["task"])
            if key in rows:
                raise InputError(
                    f"{path}, row {number}: model {key[0]}, seed {key[1]}, task {key[2]} stands there twice: "
                    "give every table of coefficients once."
                )
            rows[key] = tuple(row[column] for column in COEFFICIENT_COLUMNS)
    return list(rows.values())
