"""Patterns at each stage of a chain of checkpoints, and their changes between stages.

A chain is a base model and consecutive runs that were trained from it elsewhere. Every stage is measured on the same
samples, in the tokens of the base. There are two kinds of change: since the base, and since the stage before (`since`
names which). `since` is empty for statistics of a stage itself. Intervals of 95 % are over the probe samples, which all
stages share, so differences are paired.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.attribution import files
from headpatterns.errors import InputError
from headpatterns.experiment import run_table
from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import (
    CORRELATION,
    NOT_NEGATIVE,
    UNLIMITED,
    Limits,
    correlation_matrix,
    estimate_and_interval,
    pearson,
    replicate_patterns,
    spearman,
)
from headpatterns.statistics.effects import over_seeds
from headpatterns.statistics.levels import coherence, rank_correlation_matrix, share_rising
from headpatterns.studies import patterns
from headpatterns.studies.adaptation import distribution, measures, similarity
from headpatterns.studies.reading import Reading
from headpatterns.studies.table import Table

ALL = "all"
"""Used instead of a task: the mean over tasks."""

STAGE = ("chain", "stage", "since")
NUMBERS = ("value", "low", "high", "plain")
STAGE_COLUMNS = ("chain", "chain_label", "stage", "stage_label")
COLUMNS = (*STAGE, "task", "statistic", *NUMBERS)
HEAD_COLUMNS = (*STAGE, "task", "layer", "head", *NUMBERS[:3])
LAYER_COLUMNS = (*STAGE, "task", "layer", *NUMBERS[:3])
SIMILARITY_COLUMNS = (*STAGE, "matrix", "task_a", "task_b", *NUMBERS)

BETWEEN = {"pearson": pearson, "spearman": spearman}
"""Correlations over heads of the pattern of a stage with that of another."""

OF_STAGES = {"levels": correlation_matrix, "levels_spearman": rank_correlation_matrix}
"""Correlations between tasks of the patterns of a stage, over heads."""

OF_CHANGES = ("change_rate", "log_ratio", "change_rate_spearman")
"""Correlations of changes between tasks, as in `adaptation`."""

LIMITS: dict[str, Limits] = {
    "loss": NOT_NEGATIVE,
    **dict.fromkeys((*BETWEEN, *OF_STAGES, *OF_CHANGES), CORRELATION),
}
"""Least and largest value of each statistic that `adaptation` does not have."""

Values = dict[str, np.ndarray]
"""Replicates [1 + B] by statistic, the estimate first."""


@dataclass(frozen=True)
class Stage:
    """A stage of a chain on a task.

    Attributes:
        name: the base model, or the run.
        patterns: [1 + B, layers, heads], the estimate first.
        values: its statistics.
    """

    name: str
    patterns: np.ndarray
    values: Values


def compute(
    runs: Path,
    chains: Mapping[str, Mapping[str, Any]],
    resamples: int,
    seed: int,
    reading: Mapping[str, Any] | None = None,
) -> dict[str, Table]:
    """All statistics of the chains.

    Args:
        runs: run table (CSV); the rows of `checkpoints` are used.
        chains: by name their `label`, and name and label of the `base` and of each of the `stages`, in their order.
        resamples: bootstrap replicates of the probe sets.
        seed: of the bootstrap.
        reading: fields of a `Reading`.

    Returns:
        `stages`: labels of chains and stages, in display order; `statistics`: of every stage and change, by task and as
        means over tasks; `heads` and `layers`: levels and their changes; `similarity`: between tasks.

    Raises:
        InputError: the run table or a pattern folder cannot be used, or the table lacks a stage.
    """
    read = Reading.of(reading)
    rows_of_study = patterns.rows_of(runs, "checkpoints")
    patterns.check(rows_of_study, read)
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
    for chain, about in chains.items():
        named = [about["base"], *about["stages"]]
        rows["stages"] += [(chain, about["label"], stage, label) for stage, label in named]
        stages = [stage for stage, _ in named]
        of_chain = [row for row in rows_of_study if row.model == stages[0] and row.run in stages]
        measured: dict[str, list[Stage]] = {}
        for (task,), of_task in run_table.grouped(of_chain, "task").items():
            if lacking := set(stages[1:]) - {row.run for row in of_task}:
                raise InputError(f"{runs} lacks {min(lacking)} on {task}: make the table again from the same config.")
            by_stage = {row.run: row for row in of_task}
            ordered = [by_stage[stage] for stage in stages[1:]]
            measured[task] = of_stages(stages, ordered, resamples, seed, read)
            layers = patterns.layer_numbers(ordered[0]) or range(measured[task][0].patterns.shape[1])
            rows["heads"] += ((chain, *row) for row in head_rows(task, measured[task], layers))
            rows["layers"] += ((chain, *row) for row in layer_rows(task, measured[task], layers))
        rows["statistics"] += ((chain, *row) for row in statistic_rows(measured))
        rows["similarity"] += ((chain, *row) for row in similarity_rows(measured))
    return {name: Table(columns, rows[name]) for name, columns in TABLES.items()}


TABLES = {
    "stages": STAGE_COLUMNS,
    "statistics": COLUMNS,
    "heads": HEAD_COLUMNS,
    "layers": LAYER_COLUMNS,
    "similarity": SIMILARITY_COLUMNS,
}


def of_stages(names: Sequence[str], rows: Sequence[RunRow], resamples: int, seed: int, read: Reading) -> list[Stage]:
    """The stages of a chain on a task: the base from the first row, and each run from its own row."""
    weights = patterns.weights(rows[0], resamples, seed, read)
    places = [(rows[0], 0), *((row, files.steps(row.patterns)[-1]) for row in rows)]
    found = []
    for name, (row, step) in zip(names, places, strict=True):
        replicates = replicate_patterns(patterns.load(row, step, read), weights)
        values = measures.of_one(replicates) | {"loss": weights @ patterns.losses(row, step)}
        if measures.has_sign(row):
            values["coherence"] = coherence(patterns.signed(row, step), weights)
        found.append(Stage(name, replicates, values))
    return found


def pairs(stages: Sequence[Stage]) -> Iterator[tuple[Stage, Stage]]:
    """Each stage with the base, and with the stage before if that is not the base; the earlier one comes first."""
    for place, stage in enumerate(stages[1:], start=1):
        yield stages[0], stage
        if place > 1:
            yield stages[place - 1], stage


def statistic_rows(measured: Mapping[str, Sequence[Stage]]) -> Iterator[tuple[Any, ...]]:
    """Rows of every statistic: of each task, and the means over tasks."""
    found: dict[tuple[str, str, str], dict[str, np.ndarray]] = {}
    for task, stages in measured.items():
        for (stage, since), values in by_place(stages).items():
            for statistic, replicates in values.items():
                found.setdefault((stage, since, statistic), {})[task] = replicates
    for (stage, since, statistic), by_task in found.items():
        averaged = {**by_task, ALL: np.mean(list(by_task.values()), axis=0)}
        for task, replicates in averaged.items():
            yield (stage, since, task, statistic, *numbers(replicates, statistic, bool(since)))
    for stage, since, matrix, replicates in matrices(measured):
        ends = list(combinations(range(len(measured)), 2))
        mean = np.mean([replicates[:, a, b] for a, b in ends], axis=0)
        yield (stage, since, ALL, f"similarity_{matrix}", *over_seeds([mean], CORRELATION).shown)


def by_place(stages: Sequence[Stage]) -> dict[tuple[str, str], Values]:
    """Statistics of each stage, and of its changes: by stage and the stage that it is compared with."""
    found = {(stage.name, ""): stage.values for stage in stages}
    for first, second in pairs(stages):
        found[second.name, first.name] = {
            **{name: second.values[name] - value for name, value in first.values.items()},
            "rising": share_rising(first.patterns, second.patterns),
            **{name: correlation(first.patterns, second.patterns) for name, correlation in BETWEEN.items()},
        }
    return found


def numbers(replicates: np.ndarray, statistic: str, is_change: bool) -> tuple[float, ...]:
    """Value, low, high and plain value of replicates [1 + B] of a statistic, at a stage or of a change."""
    if statistic not in LIMITS:
        return distribution.numbers([replicates], statistic, "change" if is_change else "after")
    limits = UNLIMITED if is_change and statistic not in BETWEEN else LIMITS[statistic]
    return over_seeds([replicates], limits).shown


def head_rows(task: str, stages: Sequence[Stage], layers: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """The level of each head at each stage, and its changes."""
    for stage, since, replicates, limits in levels(stages):
        value, low, high = estimate_and_interval(replicates, limits=limits)
        for layer, head in np.ndindex(value.shape):
            where = (stage, since, task, layers[layer], head)
            yield (*where, value[layer, head], low[layer, head], high[layer, head])


def layer_rows(task: str, stages: Sequence[Stage], layers: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """The mean level of the heads of each layer at each stage, and its changes."""
    for stage, since, replicates, limits in levels(stages):
        value, low, high = estimate_and_interval(replicates.mean(axis=2), limits=limits)
        for place, layer in enumerate(layers):
            yield (stage, since, task, layer, value[place], low[place], high[place])


def levels(stages: Sequence[Stage]) -> Iterator[tuple[str, str, np.ndarray, Limits]]:
    """Patterns [1 + B, layers, heads] of each stage, then their changes, with the limits of their values."""
    for stage in stages:
        yield stage.name, "", stage.patterns, NOT_NEGATIVE
    for first, second in pairs(stages):
        yield second.name, first.name, second.patterns - first.patterns, UNLIMITED


def similarity_rows(measured: Mapping[str, Sequence[Stage]]) -> Iterator[tuple[Any, ...]]:
    """Every cell of every matrix of correlations between tasks."""
    tasks = list(measured)
    for stage, since, matrix, replicates in matrices(measured):
        value, low, high = estimate_and_interval(replicates, limits=CORRELATION)
        for a, b in np.ndindex(value.shape):
            interval = (value[a, b], low[a, b], high[a, b], replicates[0, a, b])
            yield (stage, since, matrix, tasks[a], tasks[b], *interval)


def matrices(measured: Mapping[str, Sequence[Stage]]) -> Iterator[tuple[str, str, str, np.ndarray]]:
    """Correlations between tasks [1 + B, tasks, tasks] at each stage, and of its changes; empty for a single task."""
    if len(measured) < 2:
        return
    stacked = [
        Stage(of_stage[0].name, np.stack([stage.patterns for stage in of_stage], axis=1), {})
        for of_stage in zip(*measured.values(), strict=True)
    ]
    for stage in stacked:
        for name, correlation in OF_STAGES.items():
            yield stage.name, "", name, correlation(stage.patterns)
    for first, second in pairs(stacked):
        for name in OF_CHANGES:
            yield second.name, first.name, name, similarity.correlations(name, first.patterns, second.patterns)
