"""Correlation between the tasks' patterns before and after fine-tuning, and between their change rates (Figure 2)."""

import argparse
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np

from headpatterns import cli as command_line
from headpatterns import tidy
from headpatterns.experiment import run_table
from headpatterns.experiment.run_table import Run
from headpatterns.statistics import (
    change_rate,
    correlation_matrix,
    estimate_and_interval,
    paired_replicates,
    without_dead_heads,
)

COLUMNS = ("model", "seed", "matrix", "task_a", "task_b", "value", "low", "high")
SUMMARY_COLUMNS = ("model", "matrix", "pairs", "value", "low", "high")


def main(arguments: argparse.Namespace) -> None:
    """Write the correlation matrices of every model and seed, and their means over pairs of tasks and seeds."""
    runs = run_table.read(arguments.runs, "adaptation")
    run_table.check_patterns(runs)
    rows = []
    off_diagonal: dict[tuple, list[np.ndarray]] = defaultdict(list)
    for (model, seed), tasks in run_table.grouped(runs, "model", "seed").items():
        for matrix, correlations in correlation_matrices(tasks, arguments.resamples, arguments.seed).items():
            value, low, high = estimate_and_interval(correlations)
            for a, b in np.ndindex(value.shape):
                interval = (value[a, b], low[a, b], high[a, b])
                rows.append((model, seed, matrix, tasks[a].task, tasks[b].task, *interval))
            for a, b in combinations(range(len(tasks)), 2):
                for pairs in kinds(tasks[a], tasks[b]):
                    off_diagonal[model, matrix, pairs].append(correlations[:, a, b])
    tidy.write(arguments.similarity_output, COLUMNS, rows)
    means = {key: np.mean(values, axis=0) for key, values in off_diagonal.items()}
    models = list(dict.fromkeys(run.model for run in runs))
    tidy.write(arguments.summary_output, SUMMARY_COLUMNS, summary(means, models))


def correlation_matrices(runs: list[Run], resamples: int, seed: int) -> dict[str, np.ndarray]:
    """Correlations between the tasks of one model and training seed: before, after and change_rate, [1 + B, T, T]."""
    patterns: dict[str, list[np.ndarray]] = {"before": [], "after": [], "change_rate": []}
    for run in runs:
        before, after = paired_replicates(*run_table.before_and_after(run), run.task, resamples, seed)
        patterns["before"].append(before)
        patterns["after"].append(after)
        patterns["change_rate"].append(change_rate(before, after))
    stacked = {name: np.stack(tasks, axis=1) for name, tasks in patterns.items()}
    heads = stacked["change_rate"][0, 0].size
    stacked["change_rate"] = without_dead_heads(stacked["change_rate"])
    if dead := heads - stacked["change_rate"].shape[-1]:
        print(f"{runs[0].model}: {dead} heads have a pattern of zero before fine-tuning and no change rate; left out")
    return {name: correlation_matrix(tasks) for name, tasks in stacked.items()}


def kinds(a: Run, b: Run) -> list[str]:
    """What a pair of tasks counts as; tasks without a family count among all pairs only."""
    if not (a.family and b.family):
        return ["all"]
    return ["all", "within_family" if a.family == b.family else "between_family"]


def summary(means: dict[tuple, np.ndarray], models: list[str]) -> list[tuple]:
    """Rows of means and of their paired differences: after - before, and within - between families."""
    rows = []
    for model in models:
        found = {key[1:]: mean for key, mean in means.items() if key[0] == model}
        for pairs in ("all", "within_family", "between_family"):
            if ("after", pairs) in found:
                found["after_minus_before", pairs] = found["after", pairs] - found["before", pairs]
        for matrix in ("before", "after", "change_rate", "after_minus_before"):
            if (matrix, "within_family") in found and (matrix, "between_family") in found:
                difference = found[matrix, "within_family"] - found[matrix, "between_family"]
                found[matrix, "within_minus_between"] = difference
            rows += [(model, *key, *estimate_and_interval(mean)) for key, mean in found.items() if key[0] == matrix]
    return rows


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--runs", type=Path, required=True, help="run table (CSV); the adaptation study is used")
    p.add_argument("--similarity-output", type=Path, required=True, help="CSV: every cell of every matrix")
    p.add_argument("--summary-output", type=Path, required=True, help="CSV: means over pairs of tasks and seeds")
    p.add_argument("--resamples", type=int, default=1000, help="bootstrap replicates of the probe set")
    p.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
