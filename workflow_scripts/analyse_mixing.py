"""Does training on a mixture of basic tasks first help on the complex task (Table 2, Eq. 4)?"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns import tidy
from headpatterns.errors import InputError
from headpatterns.experiment import variants as evaluations
from headpatterns.statistics import estimate_and_interval
from headpatterns.statistics.accuracy import accuracy, difference, spread
from headpatterns.studies.mixing.mixture import COEFFICIENT_COLUMNS

COLUMNS = ("model", "variant", "items", "value", "low", "high", "spread")
DIFFERENCE_COLUMNS = ("model", "better", "worse", "value", "low", "high")
COMPARISONS = (("ours", "sft"), ("ours", "random"), ("sft", "base"), ("ours", "base"))


def main(arguments: argparse.Namespace) -> None:
    """Write accuracies of all variants, differences between them, and the coefficients behind the mixtures."""
    variants = evaluations.read_variants(arguments.variants, "mixing")
    found = evaluations.outcomes(variants, arguments.items, arguments.resamples, arguments.seed)
    rows, differences = [], []
    for model in evaluations.model_labels(variants):
        own = {variant: [outcome] for (name, _, variant, _), outcome in found.items() if name == model}
        for variant in filter(own.get, evaluations.VARIANTS["mixing"]):
            interval = estimate_and_interval(accuracy(own[variant]))
            rows.append((model, variant, own[variant][0].items, *interval, spread(own[variant])))
        for better, worse in COMPARISONS:
            if better in own and worse in own:
                interval = estimate_and_interval(difference(own[better], own[worse]))
                differences.append((model, better, worse, *interval))
    tidy.write(arguments.output, COLUMNS, rows)
    tidy.write(arguments.differences_output, DIFFERENCE_COLUMNS, differences)
    tidy.write(arguments.mixture_output, COEFFICIENT_COLUMNS, coefficients(arguments.coefficients))


def coefficients(paths: Sequence[Path]) -> list[tuple[str, ...]]:
    """The rows of all files in one table.

    Raises:
        InputError: two rows are about the same model, seed and task.
    """
    rows: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for path in paths:
        for number, row in enumerate(tidy.read(path, COEFFICIENT_COLUMNS), start=1):
            key = (row["model"], row["seed"], row["task"])
            if key in rows:
                raise InputError(
                    f"{path}, row {number}: model {key[0]}, seed {key[1]}, task {key[2]} stands there twice: "
                    "give every table of coefficients once."
                )
            rows[key] = tuple(row[column] for column in COEFFICIENT_COLUMNS)
    return list(rows.values())


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--variants", type=Path, required=True, help="variants.csv; the mixing study is used")
    p.add_argument("--items", type=Path, nargs="+", required=True, help="CSV files of evaluate: single items")
    p.add_argument("--coefficients", type=Path, nargs="+", required=True, help="CSV files of mix_basic_tasks")
    p.add_argument("--output", type=Path, required=True, help="CSV: accuracy of every variant")
    p.add_argument("--differences-output", type=Path, required=True, help="CSV: differences between variants")
    p.add_argument("--mixture-output", type=Path, required=True, help="CSV: coefficients of all models and seeds")
    p.add_argument("--resamples", type=int, default=1000, help="bootstrap replicates of the evaluation set")
    p.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
