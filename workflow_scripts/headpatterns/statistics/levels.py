"""Levels of activation: their size, the share of heads that rise, and the part that is more than sampling noise.

As in `distribution`, functions take patterns [..., layers, heads] and return an array [...], in float64. A value that
does not exist is NaN, without a warning.

Coherence measures whether the samples agree on the sign of a head's value s: the sum with signs is divided by the sum
without signs. If values are noise around 0, `|mean s| / mean |s|` is 1 / √N on average over N samples, for any size of
the noise. This is its floor.
"""

import numpy as np
import scipy
from jaxtyping import Float, Float64

from headpatterns.statistics.distribution import flat, is_constant
from headpatterns.statistics.similarity import change, correlation_matrix, log_ratio, pearson


def level(patterns: Float[np.ndarray, "*batch layers heads"]) -> Float64[np.ndarray, "*batch"]:
    """Mean over all heads of patterns [..., layers, heads]."""
    return np.asarray(flat(patterns).mean(axis=-1))


def mean_log_ratio(
    before: Float[np.ndarray, "replicates layers heads"], after: Float[np.ndarray, "replicates layers heads"]
) -> Float64[np.ndarray, " replicates"]:
    """Mean of `log_ratio` over the heads for which the estimate (index 0) has one: [1 + B, layers, heads] to [1 + B].

    NaN if there is no such head.
    """
    logs = flat(log_ratio(before, after))
    defined = ~np.isnan(logs[0])
    return logs[:, defined].mean(axis=1) if defined.any() else np.full(len(logs), np.nan)


def share_rising(
    before: Float[np.ndarray, "*batch layers heads"], after: Float[np.ndarray, "*batch layers heads"]
) -> Float64[np.ndarray, "*batch"]:
    """Share of heads whose level is larger after fine-tuning than before."""
    return np.asarray((flat(after) > flat(before)).mean(axis=-1))


def share_active(
    patterns: Float[np.ndarray, "*batch layers heads"], base: Float[np.ndarray, "*batch layers heads"]
) -> Float64[np.ndarray, "*batch"]:
    """Share of heads whose level exceeds the mean level of the pattern `base`."""
    return np.asarray((flat(patterns) > level(base)[..., None]).mean(axis=-1))


def skewness(patterns: Float[np.ndarray, "*batch layers heads"]) -> Float64[np.ndarray, "*batch"]:
    """Skewness of the levels over the heads, `E[(x - mean)^3] / sigma^3`, of population moments.

    It is 0 for a symmetric distribution, and above 0 if a few heads have much higher levels.
    """
    values = flat(patterns)
    deviations = values - values.mean(axis=-1, keepdims=True)
    variance = np.square(deviations).mean(axis=-1)
    found = np.full(variance.shape, np.nan)
    third = (np.square(deviations) * deviations).mean(axis=-1)
    np.divide(third, variance**1.5, out=found, where=~is_constant(values) & (variance > 0))
    return found


def against_base(
    before: Float[np.ndarray, "*batch layers heads"], after: Float[np.ndarray, "*batch layers heads"]
) -> Float64[np.ndarray, "*batch"]:
    """Pearson correlation over heads of the change with minus the pattern before: 1 if all shrink by one factor."""
    return pearson(change(before, after), -np.asarray(before, dtype=np.float64))


def coherence(
    signed: Float[np.ndarray, "samples layers heads"], weights: Float[np.ndarray, "replicates samples"]
) -> Float64[np.ndarray, " replicates"]:
    """Mean over heads of `|mean s| / mean |s|` for every row of weights: [samples, layers, heads] to [1 + B].

    Heads that are 0 in every sample of a row have no coherence and are left out of its mean.
    """
    values = np.asarray(signed, dtype=np.float64).reshape(len(signed), -1)
    size = weights @ np.abs(values)
    shares = np.full(size.shape, np.nan)
    np.divide(np.abs(weights @ values), size, out=shares, where=size > 0)
    defined = ~np.isnan(shares)
    total, count = np.where(defined, shares, 0.0).sum(axis=1), defined.sum(axis=1)
    found = np.full(len(total), np.nan)
    np.divide(total, count, out=found, where=count > 0)
    return found


def noise_floor(weights: Float[np.ndarray, " samples"]) -> float:
    """The coherence of pure noise with these weights, which sum to 1: `√(Σ w²)`, which is 1 / √N for equal ones."""
    return float(np.sqrt(np.square(weights).sum()))


def rank_correlation_matrix(
    patterns: Float[np.ndarray, "replicates tasks layers heads"],
) -> Float64[np.ndarray, "replicates tasks tasks"]:
    """Spearman's correlations between tasks, [1 + B, tasks, layers, heads] to [1 + B, tasks, tasks].

    NaN for a pattern that is the same at every head.
    """
    values = flat(patterns)
    # One task at a time, because ranking needs several times the memory of its input.
    ranked = [
        np.where(is_constant(one)[:, None], np.nan, scipy.stats.rankdata(one, axis=-1)) for one in values.swapaxes(0, 1)
    ]
    return correlation_matrix(np.stack(ranked, axis=1)[:, :, None, :])


def within_runs(
    x: Float[np.ndarray, "replicates runs steps"], y: Float[np.ndarray, "replicates runs steps"]
) -> tuple[Float64[np.ndarray, " replicates"], Float64[np.ndarray, " replicates"]]:
    """Correlation and slope of y on x within runs: the means of each run are subtracted first.

    Args:
        x: [1 + B, runs, steps]; steps at which the estimate (index 0) of x or y is not finite are left out.
        y: of the same shape.

    Returns:
        r and slope, each [1 + B]; NaN if x does not vary within runs, and r also if y does not.
    """
    kept = np.isfinite(x[0]) & np.isfinite(y[0])
    steps = np.maximum(kept.sum(axis=-1, keepdims=True), 1)
    centred = []
    for values in (x, y):
        means = np.where(kept, values, 0.0).sum(axis=-1, keepdims=True) / steps
        centred.append(np.where(kept, values - means, 0.0))
    xx, yy, xy = ((centred[i] * centred[j]).sum(axis=(-2, -1)) for i, j in ((0, 0), (1, 1), (0, 1)))
    r, slope = np.full(xx.shape, np.nan), np.full(xx.shape, np.nan)
    np.divide(xy, np.sqrt(xx * yy), out=r, where=xx * yy > 0)
    np.divide(xy, xx, out=slope, where=xx > 0)
    return r, slope
