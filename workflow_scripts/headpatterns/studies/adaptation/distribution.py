"""How unevenly tasks use the attention heads before and after fine-tuning, and how much (Table 1, Figure 1)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.experiment import run_table
from headpatterns.experiment.fields import ModelValue
from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import (
    NOT_NEGATIVE,
    UNLIMITED,
    change,
    change_rate,
    estimate_and_interval,
    replicate_patterns,
)
from headpatterns.statistics.effects import over_seeds
from headpatterns.studies import patterns
from headpatterns.studies.adaptation import measures
from headpatterns.studies.adaptation.measures import Values
from headpatterns.studies.reading import Reading
from headpatterns.studies.table import Table

HEAD_COLUMNS = ("model", "task", "seed", "state", "layer", "head", "value", "low", "high")
COLUMNS = ("model", "task", "seed", "state", "statistic", "value", "low", "high", "plain")
BY_MODEL_COLUMNS = ("model", "state", "statistic", "value", "low", "high", "plain")
LEVEL_LIMITS = {"before": NOT_NEGATIVE, "after": NOT_NEGATIVE, "change": UNLIMITED, "change_rate": (-1.0, np.inf)}
FLOOR = "coherence_floor"


def compute(
    runs: Path,
    resamples: int,
    seed: int,
    reading: Mapping[str, Any] | None = None,
    model_value: ModelValue = "mean_of_statistics",
) -> dict[str, Table]:
    """The patterns, their statistics per run, and the statistics per model.

    Args:
        runs: run table (CSV); the adaptation study is used.
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap.
        reading: fields of a `Reading`.
        model_value: whether a model's value is the mean over tasks and seeds of each pattern's statistic, or the
            statistic of the mean pattern of its tasks, averaged over seeds. Coherence is not a statistic of a pattern,
            so it is averaged in both cases.

    Returns:
        `patterns`: every head of every pattern; `distribution`: the statistics of every run; `by_model`.

    Raises:
        InputError: the run table or a pattern folder cannot be used.
    """
    read = Reading.of(reading)
    rows_of_study = patterns.rows_of(runs, "adaptation")
    patterns.check(rows_of_study, read)
    heads: list[tuple[Any, ...]] = []
    rows: list[tuple[Any, ...]] = []
    by_model: list[tuple[Any, ...]] = []
    for (model,), of_model in run_table.grouped(rows_of_study, "model").items():
        found: dict[int, list[Values]] = defaultdict(list)
        floors: list[float] = []
        for run in of_model:
            weights = patterns.weights(run, resamples, seed, read)
            before, after = (replicate_patterns(one, weights) for one in patterns.before_and_after(run, read))
            heads += head_rows(run, before, after)
            values = measures.of_patterns(before, after)
            if measures.has_sign(run):
                values |= measures.of_signs(run, weights)
                floors.append(measures.floor_of(weights))
            rows += value_rows((model, run.task, run.seed), values, floors[-1:])
            found[run.seed].append(values)
        by_seed = [measures.mean_values(of_seed) for of_seed in found.values()]
        if model_value == "statistic_of_mean":
            of_means = of_mean_patterns(of_model, resamples, seed, read)
            by_seed = [own | of_mean for own, of_mean in zip(by_seed, of_means, strict=True)]
        by_model += mean_rows((model,), by_seed, [float(np.mean(floors))] if floors else [])
    return {
        "patterns": Table(HEAD_COLUMNS, heads),
        "distribution": Table(COLUMNS, rows),
        "by_model": Table(BY_MODEL_COLUMNS, by_model),
    }


def of_mean_patterns(runs: Sequence[RunRow], resamples: int, seed: int, reading: Reading) -> list[Values]:
    """The statistics of the mean pattern of a model's tasks, for each seed."""
    return [
        measures.of_mean_patterns(*measures.stacked(of_seed, resamples, seed, reading))
        for of_seed in run_table.grouped(runs, "seed").values()
    ]


def value_rows(key: tuple[Any, ...], values: Values, floors: Sequence[float]) -> Iterator[tuple[Any, ...]]:
    """A row for each statistic and state of one run."""
    yield from mean_rows(key, [values], floors)


def mean_rows(key: tuple[Any, ...], by_seed: Sequence[Values], floors: Sequence[float]) -> Iterator[tuple[Any, ...]]:
    """A row for each statistic and state; the floor of coherence, which is exact, is its own interval."""
    for statistic, state in dict.fromkeys(name for values in by_seed for name in values):
        seeds = [values[statistic, state] for values in by_seed if (statistic, state) in values]
        yield (*key, state, statistic, *numbers(seeds, statistic, state))
    for floor in floors:
        for state in ("before", "after"):
            yield (*key, state, FLOOR, floor, floor, floor, floor)


def numbers(seeds: Sequence[np.ndarray], statistic: str, state: str) -> tuple[float, ...]:
    """Value, low, high and plain value of a statistic in a state, the mean over seeds, of [1 + B] of each.

    The bias of coherence is not removed: pure noise has the same bias, and its coherence is shown next to it.
    """
    if statistic == "coherence":
        seeds = [np.concatenate([own[:1], own[1:] - own[1:].mean() + own[0]]) for own in seeds]
    differs = state == "change" and statistic not in measures.OF_CHANGES
    limits = UNLIMITED if differs else measures.LIMITS[statistic]
    return over_seeds(seeds, limits).shown


def head_rows(run: RunRow, before: np.ndarray, after: np.ndarray) -> Iterator[tuple[Any, ...]]:
    """A row for each state, layer and head of a run; of replicates [1 + B, layers, heads].

    Layers have their numbers in the model, because some layers of a hybrid have no attention.

    Only change rates are debiased: the plain rate is the value of `change` over that of `before`.
    """
    states = {"before": before, "after": after, "change": change(before, after)}
    layers = patterns.layer_numbers(run) or range(before.shape[1])
    for state, replicates in {**states, "change_rate": change_rate(before, after)}.items():
        value, low, high = estimate_and_interval(replicates, limits=LEVEL_LIMITS[state])
        for place in np.ndindex(value.shape):
            where = (run.model, run.task, run.seed, state, layers[place[0]], place[1])
            yield (*where, value[place], low[place], high[place])
