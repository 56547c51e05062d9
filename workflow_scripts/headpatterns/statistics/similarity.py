"""Comparing activation patterns: change, change rate, log-ratio, Pearson correlation and mean squared error (Eq. 6).

Functions take patterns [..., layers, heads] and compare their flattened layers x heads values in float64. The
correlation with a constant pattern does not exist: it is NaN, without a warning, and `nan` in the tables.
"""

import numpy as np
from jaxtyping import Float, Float64

from headpatterns.statistics.distribution import flat, is_constant


def change(
    before: Float[np.ndarray, "*batch layers heads"], after: Float[np.ndarray, "*batch layers heads"]
) -> Float64[np.ndarray, "*batch layers heads"]:
    """Change of each head, `after - before`, float64 of the patterns' shape [..., layers, heads]."""
    return np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)


def change_rate(
    before: Float[np.ndarray, "*batch layers heads"], after: Float[np.ndarray, "*batch layers heads"]
) -> Float64[np.ndarray, "*batch layers heads"]:
    """Change relative to the pattern before, `(after - before) / before`, element by element [..., layers, heads].

    NaN if the pattern before is zero: for a dead head, or in a bootstrap replicate without samples in which the head is
    active.
    """
    before = np.asarray(before, dtype=np.float64)
    rates = np.full(before.shape, np.nan)
    np.divide(after - before, before, out=rates, where=before != 0)
    return rates


def log_ratio(
    before: Float[np.ndarray, "*batch layers heads"], after: Float[np.ndarray, "*batch layers heads"]
) -> Float64[np.ndarray, "*batch layers heads"]:
    """Logarithm of the ratio of levels, `log(after / before)`, of each head [..., layers, heads].

    An increase and a decrease by the same factor have the same magnitude. A change rate is at least −1 and has no upper
    end. The result is NaN if one of the levels is zero.
    """
    before, after = (np.asarray(levels, dtype=np.float64) for levels in (before, after))
    ratios = np.full(np.broadcast_shapes(before.shape, after.shape), np.nan)
    alive = (before > 0) & (after > 0)
    # It is computed as a difference of logarithms, because the ratio of tiny levels may not be a finite number.
    np.log(after, out=ratios, where=alive)
    np.subtract(ratios, np.log(before, out=np.zeros(ratios.shape), where=alive), out=ratios, where=alive)
    return ratios


def without_dead_heads(
    rates: Float[np.ndarray, "replicates tasks layers heads"],
) -> Float64[np.ndarray, "replicates tasks 1 left"]:
    """Change rates of the heads whose rate is defined for every task, so that a dead head does not make all NaN.

    Args:
        rates: [1 + B, tasks, layers, heads]; only the estimate at index 0 decides.

    Returns:
        [1 + B, tasks, 1, heads left].
    """
    flattened = flat(rates)
    defined = ~np.isnan(flattened[0]).any(axis=0)
    return flattened[:, :, None, defined]


def pearson(
    a: Float[np.ndarray, "*#batch layers heads"], b: Float[np.ndarray, "*#batch layers heads"]
) -> Float64[np.ndarray, "*batch"]:
    """Pearson correlation of the flattened patterns a and b (Eq. 6); leading axes broadcast, result [...]."""
    return np.asarray(np.clip((standardised(a) * standardised(b)).sum(axis=-1), -1.0, 1.0))


def mse(
    a: Float[np.ndarray, "*#batch layers heads"], b: Float[np.ndarray, "*#batch layers heads"]
) -> Float64[np.ndarray, "*batch"]:
    """Mean squared difference of the flattened patterns a and b (Eq. 6); leading axes broadcast, result [...]."""
    return np.asarray(np.square(flat(a) - flat(b)).mean(axis=-1))


def correlation_matrix(
    patterns: Float[np.ndarray, "*batch tasks layers heads"],
) -> Float64[np.ndarray, "*batch tasks tasks"]:
    """Pearson correlations between tasks: patterns [..., tasks, layers, heads] to matrices [..., tasks, tasks].

    Symmetric with exact ones on the diagonal; row and column of a constant pattern are NaN, the diagonal included.
    """
    directions = standardised(patterns)
    correlations = np.asarray(np.clip(directions @ directions.swapaxes(-1, -2), -1.0, 1.0))
    diagonal = np.arange(correlations.shape[-1])
    defined = ~np.isnan(correlations[..., diagonal, diagonal])
    correlations[..., diagonal, diagonal] = np.where(defined, 1.0, np.nan)
    return correlations


def standardised(patterns: Float[np.ndarray, "*batch layers heads"]) -> Float64[np.ndarray, "*batch entries"]:
    """Flattened patterns [..., layers * heads] of mean 0 and Euclidean length 1; NaN if there is no spread.

    The inner product of two of them is their Pearson correlation.
    """
    values = flat(patterns)
    constant = is_constant(values)[..., None]
    centred = values - values.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    directions = np.full(values.shape, np.nan)
    np.divide(centred, length, out=directions, where=~constant)
    return directions
