"""Do tasks of a family resemble each other more than other tasks? Exact permutation over the tasks' labels."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Float64

# Equal sums in another order differ by less than this.
ROUNDING = 1e-12


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


def permutation_p(matrix: Float[np.ndarray, "tasks tasks"], families: Sequence[str]) -> tuple[float, float]:
    """Shares of all ways to give the tasks these families whose statistic is at least, and at most, the true one.

    Args:
        matrix: [T, T], symmetric.
        families: [T], the family of each task.
    """
    observed = float(within_minus_between(matrix, families))
    found = np.array([float(within_minus_between(matrix, labels)) for labels in _arrangements(list(families))])
    return float(np.mean(found >= observed - ROUNDING)), float(np.mean(found <= observed + ROUNDING))


def _arrangements(families: list[str]) -> Iterator[list[str]]:
    """Every distinct order of the labels."""
    if not families:
        yield []
    for first in dict.fromkeys(families):
        left = list(families)
        left.remove(first)
        for rest in _arrangements(left):
            yield [first, *rest]
