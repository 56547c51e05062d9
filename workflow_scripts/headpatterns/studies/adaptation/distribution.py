"""How unevenly tasks use the attention heads before and after fine-tuning (Table 1, Figure 1)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import (
    LIMITS,
    NOT_NEGATIVE,
    STATISTICS,
    UNLIMITED,
    change,
    change_rate,
    estimate_and_interval,
)
from headpatterns.studies import patterns
from headpatterns.studies.table import Table

HEAD_COLUMNS = ("model", "task", "seed", "state", "layer", "head", "value", "low", "high")
COLUMNS = ("model", "task", "seed", "state", "statistic", "value", "low", "high", "plain")
BY_MODEL_COLUMNS = ("model", "state", "statistic", "value", "low", "high", "plain")
LEVEL_LIMITS = {"before": NOT_NEGATIVE, "after": NOT_NEGATIVE, "change": UNLIMITED, "change_rate": (-1.0, np.inf)}


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
                rows.append((run.model, run.task, run.seed, state, name, *numbers(replicates, state, name)))
                by_model[run.model, state, name].append(replicates)
    means = [(*key, *numbers(np.mean(values, axis=0), *key[1:])) for key, values in by_model.items()]
    return {
        "patterns": Table(HEAD_COLUMNS, heads),
        "distribution": Table(COLUMNS, rows),
        "by_model": Table(BY_MODEL_COLUMNS, means),
    }


def numbers(replicates: np.ndarray, state: str, statistic: str) -> tuple[float, ...]:
    """Value, low, high and plain value of a statistic [1 + B] in a state."""
    limits = UNLIMITED if state == "change" else LIMITS[statistic]
    return (*estimate_and_interval(replicates, limits=limits), replicates[0])


def head_rows(run: RunRow, states: Mapping[str, np.ndarray]) -> Iterator[tuple[Any, ...]]:
    """A row for each state, layer and head of a run; `states` are replicates [1 + B, layers, heads].

    Change rates alone are debiased: the plain one is the value of `change` over that of `before`.
    """
    for state, replicates in states.items():
        value, low, high = estimate_and_interval(replicates, limits=LEVEL_LIMITS[state])
        for place in np.ndindex(value.shape):
            yield (run.model, run.task, run.seed, state, *place, value[place], low[place], high[place])
