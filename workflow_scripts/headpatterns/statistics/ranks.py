"""Rank correlation of patterns: do two patterns put the attention heads into the same order?

As in `similarity`, functions take patterns [..., layers, heads]. A correlation that does not exist is NaN, without a
warning.
"""

import numpy as np
import scipy
from jaxtyping import Float, Float64

from headpatterns.statistics.distribution import flat, is_constant
from headpatterns.statistics.similarity import pearson


def spearman(
    a: Float[np.ndarray, "*batch layers heads"], b: Float[np.ndarray, "*batch layers heads"]
) -> Float64[np.ndarray, "*batch"]:
    """Spearman's rank correlation of the flattened layers × heads values: [..., layers, heads] twice to [...].

    Equal values share the mean of their ranks. It is NaN if all values of one side are the same up to rounding.
    `scipy.stats.spearmanr` has no leading axes: it would correlate every pair of columns.
    """
    a, b = flat(a), flat(b)
    ranks = [scipy.stats.rankdata(values, axis=-1)[..., None, :] for values in (a, b)]
    return np.where(is_constant(a) | is_constant(b), np.nan, pearson(*ranks))


def spearman_within_layers(
    a: Float[np.ndarray, "replicates layers heads"], b: Float[np.ndarray, "replicates layers heads"]
) -> Float64[np.ndarray, " replicates"]:
    """Mean over layers of Spearman's correlation over the heads of a layer: [1 + B, layers, heads] twice to [1 + B].

    Layers in which it does not exist for the estimate (index 0) are left out. The mean is NaN if no layer is left, for
    example in models with one head per layer.
    """
    by_layer = spearman(a[..., None, :], b[..., None, :])
    defined = ~np.isnan(by_layer[0])
    return by_layer[:, defined].mean(axis=1) if defined.any() else np.full(len(by_layer), np.nan)
