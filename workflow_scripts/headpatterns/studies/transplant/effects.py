"""The numbers behind the claims on transplanted heads; error terms cover seeds, tasks, samples and random orders.

They concern transplants from the run into its base model. Shares at several numbers of heads have equal weights.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics.effects import DRAWS, Component, Effect
from headpatterns.studies import patterns
from headpatterns.studies.effects import Measured
from headpatterns.studies.jackknife import over_runs
from headpatterns.studies.transplant.analysis import ALL_HEADS, shares
from headpatterns.studies.transplant.moved import RANDOM, TRANSPLANT, Key, Moved, read_all, weights_of

CHANGE, WEIGHTS = "change", "weights"

ByDraw = Float64[np.ndarray, "draws replicates"]
ByRun = Mapping[tuple[str, int], Moved]
Contrasts = Iterator[tuple[str, dict[tuple[str, int], ByDraw]]]
"""Effects by name: [draws, 1 + B] for every run (task and seed); a ranking without draws has one row."""


def measure(
    runs: Path, losses: Sequence[Path], named: Sequence[Sequence[Any]], resamples: int, seed: int
) -> list[Measured]:
    """The effects of every model.

    Args:
        runs: run table (CSV); the adaptation study is used.
        losses: tables of transplant_heads.
        named: model, task and seed of each.
        resamples: bootstrap replicates of the samples.
        seed: seed of the bootstrap.

    Returns:
        `heads_carry`: the share of the gain that moves with all heads. `changed_heads_beat_random`: the share of the
        heads whose patterns change most, minus the share of random heads; `changed_heads_beat_weights`: minus the share
        of the heads whose weights change most.

    Raises:
        InputError: a file cannot be used.
    """
    return of_models(runs, read_all(losses, named), lambda moved: contrasts(moved, resamples, seed))


def of_models(runs: Path, found: Mapping[Key, Moved], contrasts: Callable[[ByRun], Contrasts]) -> list[Measured]:
    """The effects that `contrasts` makes of the runs of each model.

    Raises:
        InputError: the run table cannot be used.
    """
    rows = [row for row in patterns.rows_of(runs, "adaptation") if (row.model, row.task, row.seed) in found]
    effects: list[Measured] = []
    for model in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == model]
        moved = {(row.task, row.seed): found[model, row.task, row.seed] for row in own}
        for name, one in contrasts(moved):
            effects.append(Measured(name, model, "", effect_of(own, one)))
    return effects


def contrasts(moved: ByRun, resamples: int, seed: int) -> Contrasts:
    """Each effect by its name."""
    rivals = {"changed_heads_beat_random": (CHANGE, RANDOM), "changed_heads_beat_weights": (CHANGE, WEIGHTS)}
    return carried_and_beaten("heads_carry", rivals, moved, resamples, seed)


def carried_and_beaten(
    carried: str, rivals: Mapping[str, tuple[str, str]], moved: ByRun, resamples: int, seed: int
) -> Contrasts:
    """The share of all heads, and the lead of one ranking over another as a mean over numbers of heads."""
    drawn = {key: weights_of(one, key[0], resamples, seed) for key, one in moved.items()}
    like = next(iter(moved.values()))

    def mean(ranking: str, sizes: Sequence[int]) -> dict[tuple[str, int], ByDraw]:
        """The share of a ranking, the mean over numbers of heads."""
        return {
            key: np.mean([shares(one, drawn[key], (TRANSPLANT, ranking, k)) for k in sizes], axis=0)
            for key, one in moved.items()
        }

    yield carried, mean(ALL_HEADS, [like.heads])
    for name, both in rivals.items():
        if set(both) <= set(like.rankings):
            ahead, behind = (mean(ranking, like.sizes) for ranking in both)
            yield name, {key: ahead[key] - behind[key] for key in ahead}


def effect_of(runs: Sequence[RunRow], by_run: Mapping[tuple[str, int], ByDraw]) -> Effect:
    """The mean over runs and draws; all runs share their random orders, which add their own variance component."""

    def mean(some: Sequence[RunRow], of: Callable[[ByDraw], np.ndarray]) -> np.ndarray:
        return np.asarray(np.mean([of(by_run[run.task, run.seed]) for run in some], axis=0))

    effect = over_runs(
        runs, mean(runs, lambda one: one.mean(axis=0)), lambda some: float(mean(some, lambda one: one[:, 0].mean()))
    )
    of_draws = mean(runs, lambda one: one[:, 0])
    if len(of_draws) < 2:
        return effect
    drawn = Component(DRAWS, float(np.var(of_draws, ddof=1)) / len(of_draws), len(of_draws) - 1)
    return replace(effect, components=(*effect.components, drawn))
