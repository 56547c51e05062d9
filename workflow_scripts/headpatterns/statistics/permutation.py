"""Do tasks of a family resemble each other more than other tasks? Exact permutation over the tasks' labels.

The statistic is the mean of a similarity over pairs of tasks of one family minus the mean over pairs of different
families. If labels mean nothing, every way to split the tasks into families of these sizes is equally likely; 3 + 4 of
seven tasks can be split in 35 ways, so that no p is below 1/35 = 0.029. Tasks without a family take no part.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from jaxtyping import Float, Float64

from headpatterns.errors import InputError
from headpatterns.statistics.bootstrap import DIFFERENCE_OF_CORRELATIONS
from headpatterns.statistics.effects import Effect, effect

MOST_PARTITIONS = 10_000
"""With more ways than these, as many less one are drawn."""

# Equal sums in another order differ by less than this.
ROUNDING = 1e-12


def family_effect(
    matrices: Float[np.ndarray, "seeds replicates tasks tasks"],
    families: Sequence[str],
    tasks_vary: bool = False,
    seed: int = 0,
) -> Effect:
    """Mean similarity within families minus between them, with an interval and the exact p of the labels.

    Args:
        matrices: [seeds, 1 + B, T, T], symmetric; correlations of a state, or differences between two states. They are
            averaged over seeds before labels are permuted.
        families: [T], the family of each task; empty where it has none.
        tasks_vary: whether the interval is also over tasks, each left out in turn. Where a family of two would lose
            its only pair, tasks stay held.
        seed: of the draws where there are too many partitions.

    Raises:
        InputError: there are less than two families, or no family has two tasks.
    """
    chosen = check(families)
    labels = [families[index] for index in chosen]
    kept = np.asarray(matrices)[..., chosen, :][..., chosen]
    by_seed = np.array([within_minus_between(of_seed, labels) for of_seed in kept])
    mean = kept[:, 0].mean(axis=0)
    without = [_without(mean, labels, task) for task in range(len(labels))] if tasks_vary else []
    if any(math.isnan(value) for value in without):
        without = []
    made = effect(by_seed.mean(axis=0), by_seed[:, 0], without, limits=DIFFERENCE_OF_CORRELATIONS)
    above, below = permutation_p(mean, labels, seed)
    return replace(made, p_above=above, p_below=below)


def check(families: Sequence[str]) -> list[int]:
    """Places of the tasks that have a family.

    Raises:
        InputError: there are less than two families, or no family has two tasks.
    """
    chosen = [place for place, family in enumerate(families) if family]
    sizes = [sum(families[place] == family for place in chosen) for family in {families[place] for place in chosen}]
    if len(sizes) < 2 or max(sizes) < 2:
        raise InputError(
            f"the families of the tasks are {list(families)}: give at least two families, one of them with two tasks."
        )
    return chosen


def within_minus_between(
    matrices: Float[np.ndarray, "*batch tasks tasks"], families: Sequence[str]
) -> Float64[np.ndarray, "*batch"]:
    """Mean over pairs of one family minus mean over pairs of two: [..., T, T] to [...]; NaN without either."""
    same = np.array([[a == b for b in families] for a in families])
    pairs = np.triu(np.ones_like(same), 1)
    within, between = matrices[..., pairs & same], matrices[..., pairs & ~same]
    if not within.shape[-1] or not between.shape[-1]:
        return np.full(np.shape(matrices)[:-2], np.nan)
    return np.asarray(within.mean(axis=-1) - between.mean(axis=-1))


def permutation_p(
    matrix: Float[np.ndarray, "tasks tasks"], families: Sequence[str], seed: int = 0
) -> tuple[float, float]:
    """Shares of all partitions whose statistic is at least, and at most, that of the families; NaN where it is NaN.

    Every partition into families of these sizes counts once, the observed one among them. With more than
    `MOST_PARTITIONS` they are estimated from seeded draws, `(1 + number) / (1 + draws)`.

    Args:
        matrix: [T, T], symmetric.
        families: [T], the family of each task; none is empty.
        seed: seed of the draws.
    """
    observed = float(within_minus_between(matrix, families))
    if math.isnan(observed):
        return math.nan, math.nan
    sizes = [list(families).count(family) for family in dict.fromkeys(families)]
    if number_of_partitions(sizes) > MOST_PARTITIONS:
        generator = np.random.Generator(np.random.PCG64(seed))
        given = np.unique(families, return_inverse=True)[1]
        labellings = np.array([given, *(generator.permutation(given) for _ in range(MOST_PARTITIONS - 1))])
    else:
        labellings = np.array(list(partitions(sizes)))
    first, second = np.triu_indices(len(matrix), 1)
    pairs, same = matrix[first, second], labellings[:, first] == labellings[:, second]
    found = same @ pairs / same.sum(axis=1) - ~same @ pairs / (~same).sum(axis=1)
    return float(np.mean(found >= observed - ROUNDING)), float(np.mean(found <= observed + ROUNDING))


def number_of_partitions(sizes: Sequence[int]) -> int:
    """Ways to split as many tasks into unnamed families of these sizes: `T! / (prod size! prod multiplicity!)`."""
    ways = math.factorial(sum(sizes))
    for size in sizes:
        ways //= math.factorial(size)
    for size in set(sizes):
        ways //= math.factorial(list(sizes).count(size))
    return ways


def partitions(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Each partition once, as the number of its family for every task: [T]."""
    yield from _filled([-1] * sum(sizes), list(enumerate(sizes)), {})


def _filled(labels: list[int], left: list[tuple[int, int]], last: dict[int, int]) -> Iterator[list[int]]:
    """Complete the labels with the families that are left; `last` has the first task of the last family of a size."""
    if not left:
        yield list(labels)
        return
    (family, size), *others = left
    free = [task for task, label in enumerate(labels) if label < 0]
    for members in combinations(free, size):
        # Families of the same size are told apart by nothing: they come in the order of their first tasks.
        if members[0] > last.get(size, -1):
            given = [family if task in members else label for task, label in enumerate(labels)]
            yield from _filled(given, others, {**last, size: members[0]})


def _without(matrix: Float[np.ndarray, "tasks tasks"], labels: Sequence[str], task: int) -> float:
    left = [place for place in range(len(labels)) if place != task]
    return float(within_minus_between(matrix[np.ix_(left, left)], [labels[place] for place in left]))
