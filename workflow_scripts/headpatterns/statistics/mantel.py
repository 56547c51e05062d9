"""Correlation of two relations between tasks: of two matrices over tasks, with Mantel's test.

The cells of a matrix are not independent: cells of a row share a task. Mantel (1967) therefore permutes whole tasks,
rows and columns together, and computes how often the correlation of the cells is as large (QAP in the social sciences,
Krackhardt 1988). With few tasks every permutation is used: no p is below 1/T!, which is 1/24 for four tasks, 1/120 for
five and 1/5040 for seven.

The first relation is symmetric, the second need not be. There are three ways to use the cells (`DESIGNS`):

    symmetrised   pairs of tasks, of the mean of a matrix and its transpose
    directed      ordered pairs of tasks. Pearson's correlation has the same numerator as above, and so the same p
    interaction   ordered pairs, without the common effect of a task in its row and in its column: residuals of the
                  least-squares fit a_i + b_j to the cells off the diagonal, of both matrices. So a task with large
                  losses, or one that all others help, has no influence through this
"""

import functools
import math
from itertools import permutations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int

from headpatterns.statistics.ranks import spearman
from headpatterns.statistics.similarity import pearson

SYMMETRISED, DIRECTED, INTERACTION = DESIGNS = ("symmetrised", "directed", "interaction")
PEARSON, SPEARMAN = STATISTICS = ("pearson", "spearman")

MOST_TASKS = 8
"""With more tasks, permutations are drawn."""

DRAWN = 10_000
"""Number of permutations in this case, including the observed order."""

TAIL = 0.025
"""One side of a two-sided test at 5 %."""

# Equal correlations in another order of the cells differ by less than this.
ROUNDING = 1e-12


class Mantel(NamedTuple):
    """A correlation of matrices and its permutation test.

    Attributes:
        r: the correlation of the cells; NaN if one side has no spread.
        p_above: share of the permutations whose correlation is at least as large; NaN if r is.
        p_below: share of the permutations whose correlation is at most as large.
        p_least: the least possible value of both with this number of tasks.
        critical: the smallest correlation of a permutation that at most 2.5 % of them reach, which is needed for a
            two-sided p of 5 %. NaN if there are too few tasks for such a p: with four tasks no p is below 1/12.
    """

    r: float
    p_above: float
    p_below: float
    p_least: float
    critical: float

    @property
    def p(self) -> float:
        """Two-sided: twice the smaller of both, at most 1."""
        return two_sided(self.p_above, self.p_below)


def two_sided(p_above: float, p_below: float) -> float:
    """Twice the smaller of two one-sided p-values, at most 1; NaN if these are."""
    return math.nan if math.isnan(p_above) else min(1.0, 2 * min(p_above, p_below))


def mantel(
    first: Float[np.ndarray, "tasks tasks"],
    second: Float[np.ndarray, "tasks tasks"],
    design: str = SYMMETRISED,
    statistic: str = SPEARMAN,
    seed: int = 0,
) -> Mantel:
    """Correlate two relations between the same tasks, and permute the tasks of the second.

    Args:
        first: [T, T]; diagonals are not read.
        second: [T, T].
        design: one of `DESIGNS`.
        statistic: one of `STATISTICS`.
        seed: of the permutations, if they are drawn.
    """
    tasks = len(first)
    orders = permuted(tasks, seed)
    found = correlation(first, second[orders[:, :, None], orders[:, None, :]], design, statistic)
    observed = float(found[0])
    if math.isnan(observed):
        return Mantel(math.nan, math.nan, math.nan, 1 / len(orders), math.nan)
    above, below = np.mean(found >= observed - ROUNDING), np.mean(found <= observed + ROUNDING)
    return Mantel(observed, float(above), float(below), 1 / len(orders), _critical(found))


def _critical(found: Float64[np.ndarray, " orders"]) -> float:
    """The smallest correlation that at most `TAIL` of them reach; NaN if more of them reach even the largest."""
    ascending = np.sort(found)
    reached = 1 - np.searchsorted(ascending, ascending - ROUNDING) / len(ascending)
    rare = ascending[reached <= TAIL + ROUNDING]
    return float(rare[0]) if rare.size else math.nan


def correlation(
    first: Float[np.ndarray, "*#batch tasks tasks"],
    second: Float[np.ndarray, "*#batch tasks tasks"],
    design: str,
    statistic: str,
) -> Float64[np.ndarray, "*batch"]:
    """The correlation of the cells of matrices [..., T, T]; leading axes broadcast, result [...]."""
    a, b = (cells(matrix, design)[..., None, :] for matrix in np.broadcast_arrays(first, second))
    return (spearman if statistic == SPEARMAN else pearson)(a, b)


def cells(matrix: Float[np.ndarray, "*batch tasks tasks"], design: str) -> Float64[np.ndarray, "*batch cells"]:
    """The cells of a matrix that a design reads: [..., T, T] to [..., T (T - 1) / 2], or [..., T (T - 1)]."""
    tasks = matrix.shape[-1]
    if design == SYMMETRISED:
        upper = (..., *np.triu_indices(tasks, 1))
        return np.asarray((matrix[upper] + matrix.swapaxes(-1, -2)[upper]) / 2, dtype=np.float64)
    found = np.asarray(matrix[..., ~np.eye(tasks, dtype=bool)], dtype=np.float64)
    return found if design == DIRECTED else found @ _without_rows_and_columns(tasks)


@functools.cache
def _without_rows_and_columns(tasks: int) -> Float64[np.ndarray, "cells cells"]:
    """The projection of the cells off the diagonal that removes all sums a_i + b_j of a row and a column."""
    rows, columns = np.nonzero(~np.eye(tasks, dtype=bool))
    dummies = np.hstack([np.eye(tasks)[rows], np.eye(tasks)[columns]])
    return np.asarray(np.eye(len(rows)) - dummies @ np.linalg.pinv(dummies))


def permuted(tasks: int, seed: int = 0) -> Int[np.ndarray, "orders tasks"]:
    """Every order of the tasks, or seeded draws of them; the first is the observed one: [orders, T]."""
    if tasks <= MOST_TASKS:
        return np.array(list(permutations(range(tasks))))
    generator = np.random.Generator(np.random.PCG64(seed))
    return np.array([np.arange(tasks), *(generator.permutation(tasks) for _ in range(DRAWN - 1))])
