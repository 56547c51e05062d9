"""Differences of two checkpoints as one tidy table: for every head, every layer, and the whole pattern.

The states are `a`, the first checkpoint, `b`, the second, `change`, b − a, and `change_rate`, (b − a) / a. Intervals of
95 % are over the probe samples, which both checkpoints share: differences are paired.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headpatterns.experiment import run_table
from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import (
    CORRELATION,
    NOT_NEGATIVE,
    UNLIMITED,
    Limits,
    estimate_and_interval,
    pearson,
    spearman,
)
from headpatterns.studies import patterns
from headpatterns.studies.adaptation import distribution, similarity

COLUMNS = ("probe_set", "other", "quantity", "state", "layer", "head", "value", "low", "high")
NUMBERS = ("value", "low", "high")
STATES = {"before": "a", "after": "b", "change": "change", "change_rate": "change_rate"}
"""The names of states here, by their names in the study."""

OF_HEADS, OF_LAYERS, LOSS = "level_of_head", "level_of_layer", "loss"
BETWEEN = {"pearson": pearson, "spearman": spearman}
"""Correlations over heads between the patterns of the two checkpoints."""


def compared(runs: Path, resamples: int, seed: int) -> pd.DataFrame:
    """The table of all numbers, with the columns `COLUMNS`.

    Args:
        runs: run table of a comparison.
        resamples: bootstrap replicates of the probe samples.
        seed: of the bootstrap.

    Raises:
        InputError: the run table or a pattern folder cannot be used.
    """
    rows_of = patterns.rows_of(runs, "adaptation")
    found = distribution.compute(runs, resamples, seed)
    rows = list(_of_runs(rows_of, resamples, seed))
    for _, task, _, state, statistic, *numbers in found["distribution"].rows:
        rows.append((task, "", statistic, STATES[state], "", "", *numbers[:3]))
    for _, task, _, state, layer, head, *numbers in found["patterns"].rows:
        rows.append((task, "", OF_HEADS, STATES[state], layer, head, *numbers))
    if len(rows_of) > 1:
        for _, _, matrix, task, other, *numbers in similarity.compute(runs, resamples, seed)["similarity"].rows:
            if matrix in STATES and task != other:
                rows.append((task, other, "correlation_of_probe_sets", STATES[matrix], "", "", *numbers[:3]))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _of_runs(runs: Sequence[RunRow], resamples: int, seed: int) -> Iterator[tuple[Any, ...]]:
    """Losses, levels of layers, and the similarity of the two patterns, for every probe set."""
    for (task,), (run,) in run_table.grouped(runs, "task").items():
        weights = patterns.weights(run, resamples, seed)
        losses = [weights @ patterns.losses(run, step) for step in (0, 1)]
        yield from _states(task, LOSS, "", losses, NOT_NEGATIVE)
        levels = patterns.paired(run, resamples, seed)
        layers = patterns.layer_numbers(run) or range(levels[0].shape[1])
        for place, layer in enumerate(layers):
            of_layer = [one[:, place].mean(axis=1) for one in levels]
            yield from _states(task, OF_LAYERS, layer, of_layer, NOT_NEGATIVE)
        for name, correlation in BETWEEN.items():
            yield (task, "", name, "", "", "", *_interval(correlation(*levels), CORRELATION))


def _states(
    task: str, quantity: str, layer: int | str, pair: Sequence[np.ndarray], limits: Limits
) -> Iterator[tuple[Any, ...]]:
    """Rows of a quantity [1 + B] of each checkpoint, and of its change."""
    first, second = pair
    of_states = {"a": (first, limits), "b": (second, limits), "change": (second - first, UNLIMITED)}
    for state, (replicates, within) in of_states.items():
        yield (task, "", quantity, state, layer, "", *_interval(replicates, within))


def _interval(replicates: np.ndarray, limits: Limits) -> tuple[float, ...]:
    value, low, high = estimate_and_interval(replicates, limits=limits)
    return float(value), float(low), float(high)
