"""How unevenly tasks use the attention heads before and after fine-tuning (Table 1, Figure 1)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import STATISTICS, change, change_rate, estimate_and_interval
from headpatterns.studies import patterns
from headpatterns.studies.table import Table

HEAD_COLUMNS = ("model", "task", "seed", "state", "layer", "head", "value", "low", "high")
COLUMNS = ("model", "task", "seed", "state", "statistic", "value", "low", "high")
BY_MODEL_COLUMNS = ("model", "state", "statistic", "value", "low", "high")


def compute(runs: Path, resamples: int, seed: int) -> dict[str, Table]:
    """The patterns, their statistics per run, and the statistics per model (mean over tasks and seeds).

    Args:
        runs: run table (CSV); the adaptation study is used.
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap.

    Returns:
        `patterns`: every head of every pattern; `distribution`: Gini, CV and kurtosis of every run; `by_model`.

    Raises:
        InputError: the run table or a pattern folder cannot be used.
    """
    rows_of_study = patterns.rows_of(runs, "adaptation")
    patterns.check(rows_of_study)
    heads: list[tuple[Any, ...]] = []
    rows: list[tuple[Any, ...]] = []
    by_model: dict[tuple[str, str, str], list[np.ndarray]] = defaultdict(list)
    for run in rows_of_study:
        before, after = patterns.paired(run, resamples, seed)
        states = {"before": before, "after": after, "change": change(before, after)}
        heads += head_rows(run, {**states, "change_rate": change_rate(before, after)})
        for name, statistic in STATISTICS.items():
            at = {"before": statistic(before), "after": statistic(after)}
            at["change"] = at["after"] - at["before"]
            for state, replicates in at.items():
                rows.append((run.model, run.task, run.seed, state, name, *estimate_and_interval(replicates)))
                by_model[run.model, state, name].append(replicates)
    means = [(*key, *estimate_and_interval(np.mean(values, axis=0))) for key, values in by_model.items()]
    return {
        "patterns": Table(HEAD_COLUMNS, heads),
        "distribution": Table(COLUMNS, rows),
        "by_model": Table(BY_MODEL_COLUMNS, means),
    }


def head_rows(run: RunRow, states: Mapping[str, np.ndarray]) -> Iterator[tuple[Any, ...]]:
    """A row for each state, layer and head of a run; `states` are replicates [1 + B, layers, heads]."""
    for state, replicates in states.items():
        value, low, high = estimate_and_interval(replicates)
        for place in np.ndindex(value.shape):
            yield (run.model, run.task, run.seed, state, *place, value[place], low[place], high[place])
