"""Comparing activation patterns: change, change rate, Pearson correlation and mean squared error (Eq. 6).

Functions take patterns [..., layers, heads] and compare their flattened layers x heads values in float64. The
correlation with a constant pattern does not exist: it is NaN, without a warning, and stands as `nan` in the tables.
"""

import numpy as np

from headpatterns.errors import InputError
from headpatterns.statistics.distribution import flat, is_constant


def change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Change of each head, `after - before`, float64 of the patterns' shape [..., layers, heads]."""
    return np.asarray(after, dtype=np.float64) - before


def change_rate(before: np.ndarray, after: np.ndarray, source: str) -> np.ndarray:
    """Change relative to the pattern before, `(after - before) / before`, element by element [..., layers, heads].

    A before-value that is zero in some entries of the leading axes only (a bootstrap replicate that drew none of the
    samples in which the head is active) gives NaN there.

    Args:
        before: patterns before fine-tuning, [..., layers, heads].
        after: patterns after fine-tuning, same shape.
        source: file or folder that the error names.

    Raises:
        InputError: a head whose before-value is zero throughout, hence in the pattern itself.
    """
    before = np.asarray(before, dtype=np.float64)
    zero = before == 0
    dead = np.argwhere(zero.reshape(-1, *before.shape[-2:]).all(axis=0))
    if len(dead):
        layer, head = dead[0]
        raise InputError(
            f"{source}: the pattern before fine-tuning is zero at layer {layer}, head {head} (counted from 0), so its "
            "change rate is undefined: use a model without dead heads or a larger probe set."
        )
    return np.divide(after - before, before, out=np.full(before.shape, np.nan), where=~zero)


def pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson correlation of the flattened patterns a and b (Eq. 6); leading axes broadcast, result [...]."""
    return np.clip((_standardised(a) * _standardised(b)).sum(axis=-1), -1.0, 1.0)


def mse(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean squared difference of the flattened patterns a and b (Eq. 6); leading axes broadcast, result [...]."""
    return np.square(flat(a) - flat(b)).mean(axis=-1)


def correlation_matrix(patterns: np.ndarray) -> np.ndarray:
    """Pearson correlations between tasks: patterns [..., tasks, layers, heads] to matrices [..., tasks, tasks].

    Symmetric with exact ones on the diagonal; row and column of a constant pattern are NaN, the diagonal included.
    """
    standardised = _standardised(patterns)
    correlations = np.clip(standardised @ standardised.swapaxes(-1, -2), -1.0, 1.0)
    diagonal = np.arange(correlations.shape[-1])
    defined = ~np.isnan(correlations[..., diagonal, diagonal])
    correlations[..., diagonal, diagonal] = np.where(defined, 1.0, np.nan)
    return correlations


def _standardised(patterns: np.ndarray) -> np.ndarray:
    """Flattened patterns [..., layers * heads] of mean 0 and Euclidean length 1; NaN where there is no spread."""
    values = flat(patterns)
    constant = is_constant(values)[..., None]
    centred = values - values.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    return np.divide(centred, length, out=np.full(values.shape, np.nan), where=~constant)
