"""Are tasks of a family more similar to each other than to other tasks? Exact permutation test of the tasks' labels.

The statistic is the mean of a similarity over pairs of tasks of one family minus the mean over pairs of different
families. If labels mean nothing, every way to split the tasks into families of these sizes is equally likely; 3 + 4 of
seven tasks can be split in 35 ways, so that no p is below 1/35 = 0.029. Tasks without a family take no part.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float, Float64

MOST_PARTITIONS = 10_000
"""With more partitions than this, this number minus one are drawn."""

# Equal sums in another order differ by less than this.
ROUNDING = 1e-12


def within_minus_between(
    matrices: Float[np.ndarray, "*batch tasks tasks"], families: Sequence[str]
) -> Float64[np.ndarray, "*batch"]:
    """Mean over pairs of one family minus mean over pairs of two: [..., T, T] to [...]; NaN if one kind is missing."""
    same = np.array([[a == b for b in families] for a in families])
    pairs = np.triu(np.ones_like(same), 1)
    within, between = matrices[..., pairs & same], matrices[..., pairs & ~same]
    if not within.shape[-1] or not between.shape[-1]:
        return np.full(np.shape(matrices)[:-2], np.nan)
    return np.asarray(within.mean(axis=-1) - between.mean(axis=-1))


def permutation_p(
    matrix: Float[np.ndarray, "tasks tasks"], families: Sequence[str], seed: int = 0
) -> tuple[float, float]:
    """Shares of all partitions whose statistic is at least, and at most, that of the families; NaN if it is NaN.

    Every partition into families of these sizes counts once, including the observed one. With more than
    `MOST_PARTITIONS`, the shares are estimated from seeded draws, `(1 + number) / (1 + draws)`.

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


def least_p(families: Sequence[str]) -> float:
    """The least possible value of `permutation_p`: one over the number of partitions that are used."""
    sizes = [list(families).count(family) for family in dict.fromkeys(families)]
    return 1 / min(number_of_partitions(sizes), MOST_PARTITIONS)


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
        # Families of the same size are interchangeable, so they are ordered by their first tasks.
        if members[0] > last.get(size, -1):
            given = [family if task in members else label for task, label in enumerate(labels)]
            yield from _filled(given, others, {**last, size: members[0]})
