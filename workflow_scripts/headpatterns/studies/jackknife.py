"""The error term of a statistic of several runs: seeds and tasks left out in turn, and samples resampled."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from headpatterns.statistics.bootstrap import UNLIMITED, Limits
from headpatterns.statistics.effects import Effect, effect


class OfTask(Protocol):
    """A run that can be left out by its task or its seed."""

    @property
    def task(self) -> str:
        """Its task."""

    @property
    def seed(self) -> Any:
        """Its training seed."""


Row = TypeVar("Row", bound=OfTask)


def over_runs(
    runs: Sequence[Row],
    replicates: np.ndarray,
    estimate: Callable[[Sequence[Row]], float],
    tasks_vary: bool = True,
    limits: Limits = UNLIMITED,
) -> Effect:
    """The effect of a statistic of `runs`, with the variance that seeds, tasks and samples add.

    Each seed enters by its pseudo-value of the jackknife, `S theta - (S - 1) theta_without`. Of a mean over seeds that
    is the value of the seed alone. Ratios and rank correlations, which the runs of one seed may be too few for, have
    one as well. A source is held where the statistic does not exist without one of its seeds or tasks.

    Args:
        runs: every task with every seed, of one model or several.
        replicates: [1 + B], the statistic of all runs, the estimate first.
        estimate: the estimate from some of the runs. It is called once for each seed and task, so it should use what
            is already there of every run.
        tasks_vary: whether tasks are left out as well; without, the effect is about these tasks.
        limits: least and largest value that the statistic can have.
    """
    whole = float(replicates[0])
    seeds, tasks = list(dict.fromkeys(run.seed for run in runs)), list(dict.fromkeys(run.task for run in runs))
    by_seed: list[float] = []
    without_task: list[float] = []
    if len(seeds) > 1:
        without_seed = [estimate([run for run in runs if run.seed != seed]) for seed in seeds]
        by_seed = [len(seeds) * whole - (len(seeds) - 1) * value for value in without_seed]
    if tasks_vary and len(tasks) > 1:
        without_task = [estimate([run for run in runs if run.task != task]) for task in tasks]
    return effect(replicates, finite(by_seed), finite(without_task), limits=limits)


def finite(values: list[float]) -> list[float]:
    """The values, or none where one is undefined."""
    return values if np.isfinite(values).all() else []
