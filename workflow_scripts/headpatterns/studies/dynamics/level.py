"""The relation of the level of a pattern to the loss during fine-tuning, and the level without the loss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.attribution.files import steps
from headpatterns.experiment import run_table
from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import CORRELATION, NOT_NEGATIVE, UNLIMITED, estimate_and_interval
from headpatterns.statistics.effects import effect
from headpatterns.statistics.levels import within_runs
from headpatterns.studies import patterns
from headpatterns.studies.reading import Reading
from headpatterns.studies.table import Table

MEASURES = ("loss", "level", "level_over_loss")
COLUMNS = (
    *("model", "task", "seed", "step"),
    *(f"{name}{ending}" for name in MEASURES for ending in ("", "_low", "_high")),
)
SUMMARY_COLUMNS = ("model", "statistic", "value", "low", "high", "plain")
LIMITS = {"r": CORRELATION}


@dataclass(frozen=True)
class Course:
    """The course of a run.

    Attributes:
        steps: [steps], the saved ones.
        loss: [1 + B, steps], mean loss of the probe samples, nats per response token.
        level: [1 + B, steps], mean over the heads of the pattern.
    """

    steps: list[int]
    loss: np.ndarray
    level: np.ndarray


def compute(runs: Path, resamples: int, seed: int, reading: Mapping[str, Any] | None = None) -> dict[str, Table]:
    """Loss, level and their ratio at every step of every run, and their correlation within runs.

    The level is that of patterns without normalisation, for every reading, because this analysis shows the effect of
    dividing by the loss.

    Args:
        runs: run table (CSV); the dynamics study is used.
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap.
        reading: fields of a `Reading`.

    Returns:
        `level`: every step of every run; `summary`: by model, correlation `r` and `slope` of log level on log loss
        within runs, and the mean over runs of the change of log level (`log_level_change`) and of log level over loss
        (`log_level_over_loss_change`), first step to last.

    Raises:
        InputError: the run table or a pattern folder cannot be used.
    """
    read = replace(Reading.of(reading), normalisation="none")
    rows_of_study = patterns.rows_of(runs, "dynamics")
    patterns.check(rows_of_study, read)
    rows: list[tuple[Any, ...]] = []
    summary: list[tuple[Any, ...]] = []
    for (model,), of_model in run_table.grouped(rows_of_study, "model").items():
        courses = [course(run, resamples, seed, read) for run in of_model]
        for run, found in zip(of_model, courses, strict=True):
            rows += step_rows((model, run.task, run.seed), found)
        seeds = dict.fromkeys(run.seed for run in of_model)
        by_seed = [
            summarised([found for run, found in zip(of_model, courses, strict=True) if run.seed == one])
            for one in seeds
        ]
        for name, values in summarised(courses).items():
            own = [of_seed[name][0] for of_seed in by_seed]
            summary.append((model, name, *effect(values, own, limits=LIMITS.get(name, UNLIMITED)).shown))
    return {"level": Table(COLUMNS, rows), "summary": Table(SUMMARY_COLUMNS, summary)}


def course(run: RunRow, resamples: int, seed: int, reading: Reading) -> Course:
    """The course of one run."""
    weights = patterns.weights(run, resamples, seed, reading)
    saved = steps(run.patterns)
    # The mean over heads is linear, so it can be computed for every sample first.
    levels = [patterns.load(run, step, reading).mean(axis=(1, 2), dtype=np.float64) for step in saved]
    losses = [patterns.losses(run, step) for step in saved]
    return Course(saved, weights @ np.stack(losses, axis=1), weights @ np.stack(levels, axis=1))


def step_rows(key: tuple[Any, ...], found: Course) -> list[tuple[Any, ...]]:
    """A row for each step."""
    left = np.full(found.loss.shape, np.nan)
    np.divide(found.level, found.loss, out=left, where=found.loss > 0)
    shown = [estimate_and_interval(values, limits=NOT_NEGATIVE) for values in (found.loss, found.level, left)]
    return [
        (*key, step, *(values[end, place] for values in shown for end in range(3)))
        for place, step in enumerate(found.steps)
    ]


def summarised(courses: Sequence[Course]) -> dict[str, np.ndarray]:
    """The statistics of the runs of one model, [1 + B] each."""
    longest = max(len(found.steps) for found in courses)
    logs = [np.stack([padded_log(getattr(found, name), longest) for found in courses], axis=1)
            for name in ("loss", "level")]  # fmt: skip
    r, slope = within_runs(*logs)
    ends = [np.array([[log[:, place, 0], log[:, place, len(found.steps) - 1]] for place, found in enumerate(courses)])
            for log in logs]  # fmt: skip
    loss, level = ((last[:, 1] - last[:, 0]).mean(axis=0) for last in ends)
    return {"r": r, "slope": slope, "log_level_change": level, "log_level_over_loss_change": level - loss}


def padded_log(values: np.ndarray, longest: int) -> np.ndarray:
    """Logarithms of [1 + B, steps]; NaN if they do not exist and for steps that the run does not have."""
    found = np.full((len(values), longest), np.nan)
    np.log(values, out=found[:, : values.shape[1]], where=values > 0)
    return found
