"""Correlation between the tasks' patterns before and after fine-tuning, and between their changes (Figure 2)."""

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
    log_ratio,
    without_dead_heads,
)
from headpatterns.statistics.effects import over_seeds
from headpatterns.statistics.levels import rank_correlation_matrix
from headpatterns.studies import patterns
from headpatterns.studies.adaptation import measures
from headpatterns.studies.reading import Reading
from headpatterns.studies.table import Table

COLUMNS = ("model", "seed", "matrix", "task_a", "task_b", "value", "low", "high", "plain")
SUMMARY_COLUMNS = ("model", "matrix", "pairs", "value", "low", "high", "plain")
PAPER = ("before", "after", "change_rate")
SPEARMAN = "_spearman"
"""Suffix of the names of matrices of rank correlations; the others are Pearson's."""

MATRICES = (*PAPER, "log_ratio", *(name + SPEARMAN for name in PAPER))


def compute(runs: Path, resamples: int, seed: int, reading: Mapping[str, Any] | None = None) -> dict[str, Table]:
    """The correlation matrices of every model and seed, and their means over pairs of tasks and seeds.

    Args:
        runs: run table (CSV); the adaptation study is used.
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap.
        reading: fields of a `Reading`.

    Returns:
        `similarity`: every cell of every matrix; `summary`: means over pairs of tasks and seeds.

    Raises:
        InputError: the run table or a pattern folder cannot be used.
    """
    read = Reading.of(reading)
    rows_of_study = patterns.rows_of(runs, "adaptation")
    patterns.check(rows_of_study, read)
    rows: list[tuple[Any, ...]] = []
    off_diagonal: dict[tuple[str, str, str], dict[str, list[np.ndarray]]] = defaultdict(lambda: defaultdict(list))
    for (model, training_seed), tasks in run_table.grouped(rows_of_study, "model", "seed").items():
        before, after = measures.stacked(tasks, resamples, seed, read)
        say_dead_heads(before, model)
        for matrix in MATRICES:
            replicates = correlations(matrix, before, after)
            value, low, high = estimate_and_interval(replicates, limits=CORRELATION)
            for a, b in np.ndindex(value.shape):
                interval = (value[a, b], low[a, b], high[a, b], replicates[0, a, b])
                rows.append((model, training_seed, matrix, tasks[a].task, tasks[b].task, *interval))
            for a, b in combinations(range(len(tasks)), 2):
                for pairs in kinds(tasks[a], tasks[b]):
                    off_diagonal[model, matrix, pairs][training_seed].append(replicates[:, a, b])
    means = {
        key: np.stack([np.mean(values, axis=0) for values in by_seed.values()]) for key, by_seed in off_diagonal.items()
    }
    models = list(dict.fromkeys(run.model for run in rows_of_study))
    return {"similarity": Table(COLUMNS, rows), "summary": Table(SUMMARY_COLUMNS, summary(means, models))}


def correlations(name: str, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The correlation matrix of a name, [1 + B, tasks, tasks].

    `before`, `after` and `change_rate` are the paper's. `log_ratio` replaces a rate so that increases and decreases
    count equally. Rank correlations of the paper's three are not dominated by a few large heads.

    Args:
        name: one of `MATRICES`.
        before: patterns before fine-tuning, [1 + B, tasks, layers, heads].
        after: patterns after it.
    """
    if name.endswith(SPEARMAN):
        return rank_correlation_matrix(compared(name.removesuffix(SPEARMAN), before, after))
    return correlation_matrix(compared(name, before, after))


def compared(name: str, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The values that a matrix correlates, [1 + B, tasks, ...]; heads without a change for some task are left out."""
    if name in ("before", "after"):
        return before if name == "before" else after
    return without_dead_heads((log_ratio if name == "log_ratio" else change_rate)(before, after))


def say_dead_heads(before: np.ndarray, model: str) -> None:
    """Print the number of heads without a change rate, if any: their pattern before is zero for some task."""
    if dead := int((before[0] == 0).any(axis=0).sum()):
        print(f"{model}: {dead} heads have a pattern of 0 before fine-tuning, so no change rate, and are left out")


def kinds(a: RunRow, b: RunRow) -> list[str]:
    """The kinds of a pair of tasks; tasks without a family count only among all pairs."""
    if not (a.family and b.family):
        return ["all"]
    return ["all", "within_family" if a.family == b.family else "between_family"]


def summary(means: Mapping[tuple[str, str, str], np.ndarray], models: Sequence[str]) -> list[tuple[Any, ...]]:
    """Rows of means [seeds, 1 + B] and of their paired differences: after - before, and within - between families."""
    rows: list[tuple[Any, ...]] = []
    for model in models:
        found = {key[1:]: mean for key, mean in means.items() if key[0] == model}
        for ending in ("", SPEARMAN):
            for pairs in ("all", "within_family", "between_family"):
                if ("after" + ending, pairs) in found:
                    fall = found["after" + ending, pairs] - found["before" + ending, pairs]
                    found["after_minus_before" + ending, pairs] = fall
        for matrix in dict.fromkeys(name for name, _ in found):
            if (matrix, "within_family") in found and (matrix, "between_family") in found:
                difference = found[matrix, "within_family"] - found[matrix, "between_family"]
                found[matrix, "within_minus_between"] = difference
            rows += [(model, *key, *numbers(mean, key)) for key, mean in found.items() if key[0] == matrix]
    return rows


def numbers(seeds: np.ndarray, of: tuple[str, str]) -> tuple[float, ...]:
    """Value, low, high and plain value of a mean correlation [seeds, 1 + B], or of a difference between two."""
    matrix, pairs = of
    difference = matrix.startswith("after_minus_before") or pairs == "within_minus_between"
    limits = DIFFERENCE_OF_CORRELATIONS if difference else CORRELATION
    return over_seeds(seeds, limits).shown
