"""How unevenly a task uses the attention heads: Gini coefficient, CV and kurtosis of one activation pattern (Eq. 7-9).

Every function takes patterns [..., layers, heads], treats the layers x heads values of each as one population and
returns an array [...]; leading axes are bootstrap replicates, tasks, whatever the caller stacks. Accumulation is in
float64. A statistic that does not exist (a zero mean, no spread) is NaN, silently: it stands as `nan` in the tables.
"""

from collections.abc import Callable

import numpy as np

# Patterns are stored as float32 (relative resolution 6e-8), so a relative spread below this is rounding of the float64
# means over samples and never a difference between heads.
CONSTANT_SPREAD = 1e-12


def flat(patterns: np.ndarray) -> np.ndarray:
    """Patterns [..., layers, heads] as float64 [..., layers * heads]."""
    patterns = np.asarray(patterns, dtype=np.float64)
    return patterns.reshape(*patterns.shape[:-2], -1)


def is_constant(values: np.ndarray) -> np.ndarray:
    """Whether the values along the last axis are all the same up to rounding: bool [...]."""
    return np.ptp(values, axis=-1) <= CONSTANT_SPREAD * np.abs(values).max(axis=-1)


def gini(patterns: np.ndarray) -> np.ndarray:
    """Gini coefficient, `sum_ij |x_i - x_j| / (2 n^2 mean)`, of patterns [..., layers, heads] (Eq. 7).

    0 where all heads are equally active, (n - 1) / n where one head does everything. Meant for values that are not
    negative, as activation patterns are. Sorted values turn the double sum into `2 sum_i (2 i - n - 1) x_(i)`.
    """
    values = np.sort(flat(patterns), axis=-1)
    n = values.shape[-1]
    weights = 2.0 * np.arange(1, n + 1) - n - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        return _defined(values @ weights / (n * values.sum(axis=-1)))


def cv(patterns: np.ndarray) -> np.ndarray:
    """Coefficient of variation, `population standard deviation / mean`, of patterns [..., layers, heads] (Eq. 8)."""
    values = flat(patterns)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _defined(values.std(axis=-1) / values.mean(axis=-1))


def kurtosis(patterns: np.ndarray) -> np.ndarray:
    """Pearson's kurtosis, `E[(x - mean)^4] / sigma^4`, of patterns [..., layers, heads] (Eq. 9).

    Population moments, no excess taken off: a normal distribution has 3, the value the paper compares with.
    """
    values = flat(patterns)
    squares = np.square(values - values.mean(axis=-1, keepdims=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.square(squares).mean(axis=-1) / np.square(squares.mean(axis=-1))
    return np.where(is_constant(values), np.nan, found)


def _defined(quotient: np.ndarray) -> np.ndarray:
    """The quotient with NaN where a zero divisor left an infinity."""
    return np.where(np.isfinite(quotient), quotient, np.nan)


STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"gini": gini, "cv": cv, "kurtosis": kurtosis}
