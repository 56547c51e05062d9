"""The share of fine-tuning's gain that moves with heads, by their number and the way to choose them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from headpatterns.statistics.effects import over_seeds
from headpatterns.studies.table import Table
from headpatterns.studies.transplant.moved import (
    DIRECTIONS,
    NONE,
    RANDOM,
    REVERT,
    TRANSPLANT,
    Key,
    Moved,
    read_all,
    weights_of,
)

ALL = "*"
"""Stands for a seed, or for a task and a seed, in rows of the mean over all of them."""

ALL_HEADS, REST = "all heads", "everything else"
"""Stand for a ranking: all heads, and all weights that belong to no head."""

COLUMNS = (
    *("model", "task", "seed", "direction", "ranking", "k", "heads", "value", "low", "high", "plain"),
    *("least_draw", "largest_draw", "gain"),
)

Replicates = Float64[np.ndarray, " replicates"]
Point = tuple[str, str, int]
"""Direction, ranking and number of heads."""


def compute(losses: Sequence[Path], named: Sequence[Sequence[Any]], resamples: int, seed: int) -> dict[str, Table]:
    """The shares of every run, of means over seeds, and of means over tasks and seeds.

    Args:
        losses: tables of transplant_heads.
        named: model, task and seed of each.
        resamples: bootstrap replicates of the samples.
        seed: seed of the bootstrap.

    Returns:
        `shares`: the share of the gain by direction, ranking and number of heads, with its interval over samples and
        seeds. For random heads it is the mean over draws, with the least and largest draw beside it. `gain` is the gain
        of the whole run, nats per response token.

    Raises:
        InputError: a table cannot be used, or two of a model do not fit each other.
    """
    found = read_all(losses, named)
    return {"shares": Table(COLUMNS, rows(found, points, resamples, seed))}


def rows(
    found: Mapping[Key, Moved], points: Callable[[Moved], list[Point]], resamples: int, seed: int
) -> Iterator[tuple[Any, ...]]:
    """Rows of `COLUMNS`, model by model, with the points of each."""
    for model in dict.fromkeys(key[0] for key in found):
        own = {key[1:]: moved for key, moved in found.items() if key[0] == model}
        heads = next(iter(own.values())).heads
        drawn = {key: weights_of(moved, key[0], resamples, seed) for key, moved in own.items()}
        gains = {key: moved.gain(drawn[key]) for key, moved in own.items()}
        for point in points(next(iter(own.values()))):
            by_draw = {key: shares(moved, drawn[key], point) for key, moved in own.items()}
            for task, seed_, keys in means(list(own)):
                gain = float(np.mean([gains[key][0] for key in keys]))
                numbers = number(by_draw, keys), spread(by_draw, keys, point[1])
                yield (model, task, seed_, *point, heads, *numbers[0], *numbers[1], gain)


def means(keys: Sequence[tuple[str, int]]) -> Iterator[tuple[str, Any, list[tuple[str, int]]]]:
    """Task and seed of each run, of each mean over the seeds of a task and of the mean over all runs, with the runs."""
    for task in dict.fromkeys(task for task, _ in keys):
        of_task = [key for key in keys if key[0] == task]
        for key in of_task:
            yield task, key[1], [key]
        yield task, ALL, of_task
    yield ALL, ALL, list(keys)


def points(like: Moved) -> list[Point]:
    """The points that have a share: each ranking with each number of heads, all heads, and everything else."""
    found: list[Point] = list(product(DIRECTIONS, like.rankings, like.sizes))
    return found + [(direction, name, like.heads) for direction in DIRECTIONS for name in (ALL_HEADS, REST)]


def shares(moved: Moved, weights: Float64[np.ndarray, "replicates samples"], point: Point) -> list[Replicates]:
    """The share of each draw, [1 + B]; a ranking has one draw.

    Transplanting everything else equals reverting all heads of the run, and the other way round.
    """
    direction, ranking, k = point
    if ranking == ALL_HEADS:
        return [moved.share((direction, NONE, 0, moved.heads), weights)]
    if ranking == REST:
        other = REVERT if direction == TRANSPLANT else TRANSPLANT
        return [1 - moved.share((other, NONE, 0, moved.heads), weights)]
    draws = moved.draws if ranking == RANDOM else [0]
    return [moved.share((direction, ranking, draw, k), weights) for draw in draws]


def number(
    by_draw: Mapping[tuple[str, int], Sequence[Replicates]], keys: Sequence[tuple[str, int]]
) -> tuple[float, ...]:
    """Value, low, high and plain value of the mean over runs, with samples and seeds in its interval."""
    of_seeds = [
        np.mean([np.mean(by_draw[key], axis=0) for key in keys if key[1] == seed], axis=0)
        for seed in dict.fromkeys(key[1] for key in keys)
    ]
    return over_seeds(of_seeds).shown


def spread(
    by_draw: Mapping[tuple[str, int], Sequence[Replicates]], keys: Sequence[tuple[str, int]], ranking: str
) -> tuple[float, float]:
    """The least and the largest draw of the mean over runs; NaN for a point without random draws."""
    if ranking != RANDOM:
        return np.nan, np.nan
    plain = np.mean([[draw[0] for draw in by_draw[key]] for key in keys], axis=0)
    return float(plain.min()), float(plain.max())
