"""How unevenly a task uses the attention heads: Gini coefficient, CV and kurtosis of one activation pattern (Eq. 7-9).

Every function takes patterns [..., layers, heads], treats the layers x heads values of each as one population and
returns an array [...]; leading axes are bootstrap replicates, tasks or others. Accumulation is in float64. A statistic
that does not exist (a zero mean, no spread) is NaN without a warning, and `nan` in the tables.

In this package, `import scipy` loads `scipy.stats` only on first use, because the Snakefile imports this package.
"""

import warnings
from collections.abc import Callable

import numpy as np
import scipy
from jaxtyping import Bool, Float, Float64

# Patterns are stored as float32 (relative resolution 6e-8), so a relative spread below this is rounding of the float64
# means over samples and never a difference between heads.
CONSTANT_SPREAD = 1e-12


def flat(patterns: Float[np.ndarray, "*batch layers heads"]) -> Float64[np.ndarray, "*batch entries"]:
    """Patterns [..., layers, heads] as float64 [..., layers * heads]."""
    patterns = np.asarray(patterns, dtype=np.float64)
    return patterns.reshape(*patterns.shape[:-2], -1)


def is_constant(values: Float[np.ndarray, "*batch entries"]) -> Bool[np.ndarray, "*batch"]:
    """Whether the values along the last axis are all the same up to rounding: bool [...]."""
    return np.asarray(np.ptp(values, axis=-1) <= CONSTANT_SPREAD * np.abs(values).max(axis=-1))


def gini(patterns: Float[np.ndarray, "*batch layers heads"]) -> Float64[np.ndarray, "*batch"]:
    """Gini coefficient, `sum_ij |x_i - x_j| / (2 n^2 mean)`, of patterns [..., layers, heads] (Eq. 7).

    It is 0 if all heads are equally active, and (n - 1) / n if only one head is active. It is meant for values that are
    not negative, such as activation patterns. With sorted values the double sum is `2 sum_i (2 i - n - 1) x_(i)`.
    """
    values = np.sort(flat(patterns), axis=-1)
    n = values.shape[-1]
    weights = 2.0 * np.arange(1, n + 1) - n - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        return _defined(np.asarray(values @ weights / (n * values.sum(axis=-1))))


def cv(patterns: Float[np.ndarray, "*batch layers heads"]) -> Float64[np.ndarray, "*batch"]:
    """Coefficient of variation, `population standard deviation / mean`, of patterns [..., layers, heads] (Eq. 8)."""
    return _defined(np.asarray(scipy.stats.variation(flat(patterns), axis=-1)))


def kurtosis(patterns: Float[np.ndarray, "*batch layers heads"]) -> Float64[np.ndarray, "*batch"]:
    """Pearson's kurtosis, `E[(x - mean)^4] / sigma^4`, of patterns [..., layers, heads] (Eq. 9).

    It uses population moments and is not the excess: a normal distribution has 3, the reference value of the paper.
    """
    values = flat(patterns)
    with warnings.catch_warnings():
        # SciPy warns about a loss of precision in constant patterns, which are NaN here.
        warnings.simplefilter("ignore", RuntimeWarning)
        found = scipy.stats.kurtosis(values, axis=-1, fisher=False)
    return np.where(is_constant(values), np.nan, found)


def _defined(quotient: Float64[np.ndarray, "*batch"]) -> Float64[np.ndarray, "*batch"]:
    """The quotient with NaN instead of the infinity of a zero divisor."""
    return np.where(np.isfinite(quotient), quotient, np.nan)


STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"gini": gini, "cv": cv, "kurtosis": kurtosis}

LIMITS: dict[str, tuple[float, float]] = {"gini": (0.0, 1.0), "cv": (0.0, np.inf), "kurtosis": (1.0, np.inf)}
"""Least and largest value of each statistic, for patterns that are not negative."""
