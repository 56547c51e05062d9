"""Least-squares decomposition of the complex tasks' pattern changes into those of basic tasks (Figure 4, Eq. 3, 10)."""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from headpatterns import cli as command_line
from headpatterns import tidy
from headpatterns.errors import InputError
from headpatterns.experiment import run_table
from headpatterns.experiment.run_table import Run
from headpatterns.statistics import change, estimate_and_interval, paired_replicates
from headpatterns.statistics import regression as composition

COLUMNS = (
    *("model", "group", "seed", "complex", "terms", "size", "r2", "low", "high"),
    *("null_mean", "null_high", "p_value"),
)
COEFFICIENT_COLUMNS = ("model", "group", "seed", "complex", "terms", "task", "beta", "low", "high")
BY_MODEL_COLUMNS = ("model", "group", "complex", "terms", "size", "statistic", "value", "low", "high")


def main(arguments: argparse.Namespace) -> None:
    """Write R² and coefficients of every term set, and per model R² and rank of their means over seeds."""
    runs = run_table.read(arguments.runs, "composition")
    run_table.check_patterns(runs)
    rows, coefficients = [], []
    by_model: dict[tuple, dict[tuple[str, int], list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    for (model, group, seed), tasks in run_table.grouped(runs, "model", "group", "seed").items():
        complex_runs, basic_runs = split(tasks, arguments.runs)
        basic_changes = np.stack([changes(run, arguments) for run in basic_runs], axis=1)
        for complex_run in complex_runs:
            fits = composition.fit_all(
                *(changes(complex_run, arguments), basic_changes),
                *(arguments.intercept, arguments.permutations, arguments.seed),
            )
            for fit in fits:
                names = [basic_runs[index].task for index in fit.terms]
                terms = "+".join(names)
                null = (fit.null.mean(), np.quantile(fit.null, 0.95), fit.p_value)
                key = (model, group, seed, complex_run.task, terms)
                rows.append((*key, len(names), *estimate_and_interval(fit.r2), *null))
                labels = [*names, "intercept"] if arguments.intercept else names
                intervals = estimate_and_interval(fit.beta)
                coefficients += [(*key, label, *intervals[:, k]) for k, label in enumerate(labels)]
                by_model[model, group, complex_run.task][terms, len(names)].append(fit.r2)
    tidy.write(arguments.composition_output, COLUMNS, rows)
    tidy.write(arguments.coefficients_output, COEFFICIENT_COLUMNS, coefficients)
    means = (row for key, sets in by_model.items() for row in mean_rows(key, sets))
    tidy.write(arguments.by_model_output, BY_MODEL_COLUMNS, means)


def split(runs: list[Run], table: Path) -> tuple[list[Run], list[Run]]:
    """Complex and basic runs of one model, group and seed; at least one of each."""
    roles = {role: [run for run in runs if run.role == role] for role in run_table.ROLES}
    for role, found in roles.items():
        if not found:
            raise InputError(
                f"{table}: model {runs[0].model}, group {runs[0].group!r}, seed {runs[0].seed} has no {role} "
                "task in the composition study: add its row."
            )
    return roles["complex"], roles["basic"]


def changes(run: Run, arguments: argparse.Namespace) -> np.ndarray:
    """Change of the pattern of a run with its bootstrap replicates, [1 + B, layers, heads]."""
    return change(*paired_replicates(*run_table.before_and_after(run), run.task, arguments.resamples, arguments.seed))


def mean_rows(key: tuple, sets: dict[tuple[str, int], list[np.ndarray]]) -> list[tuple]:
    """R², the mean over seeds, of each term set and its rank (1 is best) among the sets of the same size."""
    r2 = {label: np.mean(replicates, axis=0) for label, replicates in sets.items()}
    rows = []
    for (terms, size), own in r2.items():
        better = np.sum([other > own for (_, same), other in r2.items() if same == size], axis=0)
        rank = np.where(np.isnan(own), np.nan, 1.0 + better)
        rows.append((*key, terms, size, "r2", *estimate_and_interval(own)))
        rows.append((*key, terms, size, "rank", *estimate_and_interval(rank)))
    return rows


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--runs", type=Path, required=True, help="run table (CSV); the composition study is used")
    p.add_argument("--composition-output", type=Path, required=True, help="CSV: R² and null of every term set")
    p.add_argument("--coefficients-output", type=Path, required=True, help="CSV: beta of every term set")
    p.add_argument("--by-model-output", type=Path, required=True, help="CSV: mean R² over seeds, and its rank")
    p.add_argument("--intercept", action="store_true", help="fit a constant as well; the paper's Eq. 3 has none")
    p.add_argument("--permutations", type=int, default=1000, help="draws of the null that permutes the heads")
    p.add_argument("--resamples", type=int, default=1000, help="bootstrap replicates of the probe set")
    p.add_argument("--seed", type=int, default=0, help="seed of the bootstrap and of the permutations")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
