"""Least-squares decomposition of the complex tasks' pattern changes into those of basic tasks (Figure 4, Eq. 3, 10)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.errors import InputError
from headpatterns.experiment import run_table
from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import R2, estimate_and_interval, regression, value_and_range
from headpatterns.studies import patterns
from headpatterns.studies.table import Table

COLUMNS = (
    *("model", "group", "seed", "complex", "terms", "size", "r2", "low", "high"),
    *("null_mean", "null_high", "p_value", "plain"),
)
COEFFICIENT_COLUMNS = ("model", "group", "seed", "complex", "terms", "task", "beta", "low", "high", "plain")
BY_MODEL_COLUMNS = ("model", "group", "complex", "terms", "size", "statistic", "value", "low", "high", "plain")

TermSets = dict[tuple[str, int], list[np.ndarray]]
"""R² [1 + B] of each seed, by the terms of a set and how many these are."""


def compute(runs: Path, resamples: int, seed: int, permutations: int, intercept: bool) -> dict[str, Table]:
    """R² and coefficients of every term set, and per model R² and rank of their means over seeds.

    Args:
        runs: run table (CSV); the composition study is used.
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap and of the permutations.
        permutations: draws of the null that permutes the heads.
        intercept: whether a constant is fitted as well; the paper's Eq. 3 has none.

    Returns:
        `composition`: R² and null of every term set; `coefficients`: beta of every term set; `by_model`: mean R² over
        seeds, and its rank.

    Raises:
        InputError: the run table or a pattern folder cannot be used, or a complex or basic task is missing.
    """
    rows_of_study = patterns.rows_of(runs, "composition")
    patterns.check(rows_of_study)
    rows: list[tuple[Any, ...]] = []
    coefficients: list[tuple[Any, ...]] = []
    by_model: dict[tuple[str, str, str], TermSets] = defaultdict(lambda: defaultdict(list))
    for (model, group, training_seed), tasks in run_table.grouped(rows_of_study, "model", "group", "seed").items():
        complex_runs, basic_runs = split(tasks, runs)
        names = [run.task for run in basic_runs]
        basic = np.stack([patterns.changes(run, resamples, seed) for run in basic_runs], axis=1)
        for run in complex_runs:
            target = patterns.changes(run, resamples, seed)
            for fit in regression.fit_all(target, basic, intercept, permutations, seed):
                terms = "+".join(names[index] for index in fit.terms)
                key = (model, group, training_seed, run.task, terms)
                interval = estimate_and_interval(fit.r2, limits=R2)
                rows.append((*key, len(fit.terms), *interval, *null_of(fit), fit.r2[0]))
                coefficients += coefficient_rows(key, fit, names, intercept)
                by_model[model, group, run.task][terms, len(fit.terms)].append(fit.r2)
    means = [row for key, sets in by_model.items() for row in mean_rows(key, sets)]
    return {
        "composition": Table(COLUMNS, rows),
        "coefficients": Table(COEFFICIENT_COLUMNS, coefficients),
        "by_model": Table(BY_MODEL_COLUMNS, means),
    }


def null_of(fit: regression.Fit) -> tuple[float, float, float]:
    """Mean and 95 % quantile of R² under the null, and the p-value."""
    return fit.null.mean(), np.quantile(fit.null, 0.95), fit.p_value


def coefficient_rows(
    key: tuple[Any, ...], fit: regression.Fit, names: Sequence[str], intercept: bool
) -> Iterator[tuple[Any, ...]]:
    """A row for each coefficient of a fit; `names` are those of all basic tasks."""
    labels = [*(names[index] for index in fit.terms), *(["intercept"] if intercept else [])]
    intervals = estimate_and_interval(fit.beta)
    yield from ((*key, label, *intervals[:, k], fit.beta[0, k]) for k, label in enumerate(labels))


def split(runs: Sequence[RunRow], table: Path) -> tuple[list[RunRow], list[RunRow]]:
    """Complex and basic runs of one model, group and seed; at least one of each.

    Raises:
        InputError: there is none of one of them.
    """
    roles = {role: [run for run in runs if run.role == role] for role in run_table.ROLES}
    for role, found in roles.items():
        if not found:
            raise InputError(
                f"{table}: model {runs[0].model}, group {runs[0].group!r}, seed {runs[0].seed} has no {role} "
                "task in the composition study: add its row."
            )
    return roles["complex"], roles["basic"]


def mean_rows(key: tuple[str, str, str], sets: Mapping[tuple[str, int], list[np.ndarray]]) -> Iterator[tuple[Any, ...]]:
    """R², the mean over seeds, of each term set and its rank (1 is best) among the sets of the same size."""
    r2 = {label: np.mean(replicates, axis=0) for label, replicates in sets.items()}
    for (terms, size), own in r2.items():
        better = np.sum([other > own for (_, same), other in r2.items() if same == size], axis=0)
        rank = np.where(np.isnan(own), np.nan, 1.0 + better)
        yield (*key, terms, size, "r2", *estimate_and_interval(own, limits=R2), own[0])
        yield (*key, terms, size, "rank", *value_and_range(rank), rank[0])
