"""The numbers behind the claims on transplanted heads: seeds, tasks, samples and random orders make their error terms.

They are of transplants, from the run into its base model. Shares at several numbers of heads count alike.
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
from headpatterns.studies.transplant.moved import RANDOM, TRANSPLANT, Moved, read_all, weights_of

CHANGE, WEIGHTS = "change", "weights"

ByDraw = Float64[np.ndarray, "draws replicates"]


def measure(
    runs: Path, losses: Sequence[Path], named: Sequence[Sequence[Any]], resamples: int, seed: int
) -> list[Measured]:
    """The effects of every model.

    Args:
        runs: run table (CSV); the adaptation study is used.
        losses: tables of transplant_heads.
        named: model, task and seed of each.
        resamples: bootstrap replicates of the samples.
        seed: of the bootstrap.

    Returns:
        `heads_carry`: the share of the gain that goes with all heads. `changed_heads_beat_random`: the share that goes
        with the heads whose patterns change most, minus that of random heads; `changed_heads_beat_weights`: minus that
        of the heads whose weights change most.

    Raises:
        InputError: a file cannot be used.
    """
    found = read_all(losses, named)
    rows = [row for row in patterns.rows_of(runs, "adaptation") if (row.model, row.task, row.seed) in found]
    effects: list[Measured] = []
    for model in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == model]
        moved = {(row.task, row.seed): found[model, row.task, row.seed] for row in own}
        for name, one in contrasts(moved, resamples, seed):
            effects.append(Measured(name, model, "", effect_of(own, one)))
    return effects


def contrasts(
    moved: Mapping[tuple[str, int], Moved], resamples: int, seed: int
) -> Iterator[tuple[str, dict[tuple[str, int], ByDraw]]]:
    """Each effect by its name: of every run [draws, 1 + B]; what is not drawn has one."""
    drawn = {key: weights_of(one, key[0], resamples, seed) for key, one in moved.items()}
    like = next(iter(moved.values()))

    def mean(ranking: str, sizes: Sequence[int]) -> dict[tuple[str, int], ByDraw]:
        """The share of a ranking, the mean over numbers of heads."""
        return {
            key: np.mean([shares(one, drawn[key], (TRANSPLANT, ranking, k)) for k in sizes], axis=0)
            for key, one in moved.items()
        }

    yield "heads_carry", mean(ALL_HEADS, [like.heads])
    if CHANGE not in like.rankings:
        return
    changed = mean(CHANGE, like.sizes)
    for name, other in (("changed_heads_beat_random", RANDOM), ("changed_heads_beat_weights", WEIGHTS)):
        if other in like.rankings:
            rival = mean(other, like.sizes)
            yield name, {key: changed[key] - rival[key] for key in changed}


def effect_of(runs: Sequence[RunRow], by_run: Mapping[tuple[str, int], ByDraw]) -> Effect:
    """The mean over runs and draws; all runs share their random orders, which add a component of their own."""

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
