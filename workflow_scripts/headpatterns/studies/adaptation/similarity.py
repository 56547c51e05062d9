"""Correlation between the tasks' patterns before and after fine-tuning, and between their change rates (Figure 2)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.experiment import run_table
from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import (
    CORRELATION,
    DIFFERENCE_OF_CORRELATIONS,
    change_rate,
    correlation_matrix,
    estimate_and_interval,
    without_dead_heads,
)
from headpatterns.studies import patterns
from headpatterns.studies.table import Table

COLUMNS = ("model", "seed", "matrix", "task_a", "task_b", "value", "low", "high", "plain")
SUMMARY_COLUMNS = ("model", "matrix", "pairs", "value", "low", "high", "plain")


def compute(runs: Path, resamples: int, seed: int) -> dict[str, Table]:
    """The correlation matrices of every model and seed, and their means over pairs of tasks and seeds.

    Args:
        runs: run table (CSV); the adaptation study is used.
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap.

    Returns:
        `similarity`: every cell of every matrix; `summary`: means over pairs of tasks and seeds.

    Raises:
        InputError: the run table or a pattern folder cannot be used.
    """
    rows_of_study = patterns.rows_of(runs, "adaptation")
    patterns.check(rows_of_study)
    rows: list[tuple[Any, ...]] = []
    off_diagonal: dict[tuple[str, str, str], list[np.ndarray]] = defaultdict(list)
    for (model, training_seed), tasks in run_table.grouped(rows_of_study, "model", "seed").items():
        for matrix, correlations in correlation_matrices(tasks, resamples, seed).items():
            value, low, high = estimate_and_interval(correlations, limits=CORRELATION)
            for a, b in np.ndindex(value.shape):
                interval = (value[a, b], low[a, b], high[a, b], correlations[0, a, b])
                rows.append((model, training_seed, matrix, tasks[a].task, tasks[b].task, *interval))
            for a, b in combinations(range(len(tasks)), 2):
                for pairs in kinds(tasks[a], tasks[b]):
                    off_diagonal[model, matrix, pairs].append(correlations[:, a, b])
    means = {key: np.mean(values, axis=0) for key, values in off_diagonal.items()}
    models = list(dict.fromkeys(run.model for run in rows_of_study))
    return {"similarity": Table(COLUMNS, rows), "summary": Table(SUMMARY_COLUMNS, summary(means, models))}


def correlation_matrices(runs: Sequence[RunRow], resamples: int, seed: int) -> dict[str, np.ndarray]:
    """Correlations between the tasks of one model and training seed: before, after and change_rate, [1 + B, T, T]."""
    states: dict[str, list[np.ndarray]] = {"before": [], "after": [], "change_rate": []}
    for run in runs:
        before, after = patterns.paired(run, resamples, seed)
        states["before"].append(before)
        states["after"].append(after)
        states["change_rate"].append(change_rate(before, after))
    stacked = {name: np.stack(tasks, axis=1) for name, tasks in states.items()}
    heads = stacked["change_rate"][0, 0].size
    stacked["change_rate"] = without_dead_heads(stacked["change_rate"])
    if dead := heads - stacked["change_rate"].shape[-1]:
        print(f"{runs[0].model}: {dead} heads have a pattern of zero before fine-tuning and no change rate; left out")
    return {name: correlation_matrix(tasks) for name, tasks in stacked.items()}


def kinds(a: RunRow, b: RunRow) -> list[str]:
    """What a pair of tasks counts as; tasks without a family count among all pairs only."""
    if not (a.family and b.family):
        return ["all"]
    return ["all", "within_family" if a.family == b.family else "between_family"]


def summary(means: Mapping[tuple[str, str, str], np.ndarray], models: Sequence[str]) -> list[tuple[Any, ...]]:
    """Rows of means and of their paired differences: after - before, and within - between families."""
    rows: list[tuple[Any, ...]] = []
    for model in models:
        found = {key[1:]: mean for key, mean in means.items() if key[0] == model}
        for pairs in ("all", "within_family", "between_family"):
            if ("after", pairs) in found:
                found["after_minus_before", pairs] = found["after", pairs] - found["before", pairs]
        for matrix in ("before", "after", "change_rate", "after_minus_before"):
            if (matrix, "within_family") in found and (matrix, "between_family") in found:
                difference = found[matrix, "within_family"] - found[matrix, "between_family"]
                found[matrix, "within_minus_between"] = difference
            rows += [(model, *key, *numbers(mean, key)) for key, mean in found.items() if key[0] == matrix]
    return rows


def numbers(replicates: np.ndarray, of: tuple[str, str]) -> tuple[float, ...]:
    """Value, low, high and plain value of a mean correlation [1 + B], or of a difference between two."""
    matrix, pairs = of
    difference = matrix == "after_minus_before" or pairs == "within_minus_between"
    limits = DIFFERENCE_OF_CORRELATIONS if difference else CORRELATION
    return (*estimate_and_interval(replicates, limits=limits), replicates[0])
