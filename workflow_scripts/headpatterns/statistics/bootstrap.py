"""Bootstrap over probe samples: how far would a number move with another draw of the probe set?

A replicate draws N of the N probe samples with replacement; its pattern is a weighted mean of the per-sample patterns
with multinomial weights, so all replicates of one checkpoint are a single matrix product. Everywhere in the analysis an
array of replicates carries the pattern of the probe set itself at index 0 and the B replicates after it, [1 + B, ...]:
statistics are applied to the whole array, and `estimate_and_interval` takes the two apart at the very end.

What is drawn together:
- the checkpoints of a run, before and after included, and the training seeds of a task see the same probe samples, so
  they share one draw: differences between them are paired and free of the noise they have in common;
- different tasks have different probe samples and get independent draws. A draw depends on the seed and the task's
  name, not on which other tasks are analysed.

The interval is the percentile interval. It needs no standard error and stays inside a statistic's range, but it
inherits the statistic's bias: resampling adds sampling noise once more, which pushes correlations and R² towards 0 and
spreads out the heads (Gini, CV) in every replicate. With few or very uneven probe samples an estimate can therefore lie
near an end of its interval or outside it. The interval covers the choice of probe samples only, neither the training
seed nor the training set.
"""

import numpy as np
from jaxtyping import Float, Float64, Int

from headpatterns.errors import InputError


def probe_weights(samples: int, task: str, resamples: int, seed: int) -> Float64[np.ndarray, "1+{resamples} {samples}"]:
    """Weights [1 + resamples, samples] of the probe samples of one task; every row sums to 1.

    Row 0 weighs all samples alike, the others are multinomial counts / samples, drawn with PCG64.

    Raises:
        InputError: less than one resample, or a negative seed.
    """
    if resamples < 1:
        raise InputError(f"--resamples is {resamples}: an interval needs at least 1 bootstrap replicate, better 1000.")
    if seed < 0:
        raise InputError(f"--seed is {seed}: give 0 or a positive whole number.")
    generator = np.random.Generator(np.random.PCG64([seed, *task.encode()]))
    counts = generator.multinomial(samples, np.full(samples, 1 / samples), size=resamples)
    return np.concatenate([np.ones((1, samples)), counts]) / samples


def batch_shares(response_tokens: Int[np.ndarray, " samples"], size: int = 4) -> Float64[np.ndarray, " samples"]:
    """What each sample weighs in the mean that the paper's released script takes, [samples]; they sum to 1.

    Its batches are `size` consecutive samples, the last one those that are left. In a batch the loss is the mean over
    response tokens, so that a sample weighs as many as it has; and batches count alike.

    Args:
        response_tokens: of each sample, in the order of the probe set; at least 1.
        size: samples of a batch.
    """
    starts = np.arange(0, len(response_tokens), size)
    in_batch = np.repeat(np.add.reduceat(response_tokens, starts), np.diff([*starts, len(response_tokens)]))
    return np.asarray(response_tokens / in_batch / len(starts), dtype=np.float64)


def reweighted(
    weights: Float[np.ndarray, "replicates samples"], shares: Float[np.ndarray, " samples"]
) -> Float64[np.ndarray, "replicates samples"]:
    """Weights of replicates in which a sample weighs `shares` each time that it is drawn; rows sum to 1."""
    found = weights * shares
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def replicate_patterns(
    samples: Float[np.ndarray, "samples layers heads"], weights: Float[np.ndarray, "replicates samples"]
) -> Float64[np.ndarray, "replicates layers heads"]:
    """Patterns of the probe set and of its replicates, float64 [1 + B, layers, heads].

    Args:
        samples: per-sample patterns [samples, layers, heads].
        weights: [1 + B, samples], of `probe_weights`.
    """
    flattened = samples.reshape(len(samples), -1).astype(np.float64)
    return (weights @ flattened).reshape(len(weights), *samples.shape[1:])


def paired_replicates(
    before: Float[np.ndarray, "samples layers heads"],
    after: Float[np.ndarray, "samples layers heads"],
    task: str,
    resamples: int,
    seed: int,
) -> tuple[
    Float64[np.ndarray, "1+{resamples} layers heads"],
    Float64[np.ndarray, "1+{resamples} layers heads"],
]:
    """Replicates of the patterns before and after fine-tuning on the same draws, each [1 + B, layers, heads].

    Args:
        before: per-sample patterns [samples, layers, heads].
        after: the same samples after fine-tuning, same shape.
        task: name of the task whose probe samples these are.
        resamples: number B of replicates.
        seed: seed of the bootstrap.
    """
    weights = probe_weights(len(before), task, resamples, seed)
    return replicate_patterns(before, weights), replicate_patterns(after, weights)


def estimate_and_interval(
    replicates: Float[np.ndarray, " replicates *rest"], confidence: float = 0.95
) -> Float64[np.ndarray, " 3 *rest"]:
    """Estimate, lower and upper end of the percentile interval: [1 + B, ...] to [3, ...].

    An interval is NaN where any replicate is: leaving out the undefined ones would make it look narrower than it is.
    """
    tail = (1 - confidence) / 2
    ends = np.quantile(replicates[1:], [tail, 1 - tail], axis=0)
    return np.concatenate([replicates[:1], ends])


def estimate_and_shifted_interval(
    replicates: Float[np.ndarray, " replicates"], bound: float = 1.0
) -> Float64[np.ndarray, " 3"]:
    """Estimate, lower and upper end of the 95 % percentile interval, shifted by its bias: [1 + B] to [3].

    The ends of `estimate_and_interval` are moved by the bootstrap's estimate of the bias, the replicates' mean minus
    the estimate; ends beyond ± `bound`, which the statistic cannot reach, are put there. The shift is in the units of
    the statistic: BC and BCa intervals (Efron 1987), which take other quantiles instead, are something else. So is the
    basic (reverse percentile) interval, which mirrors the quantiles at the estimate and so moves them about twice as
    far.

    It is the interval of a correlation of as many samples, which their noise makes smaller than that of endless ones.
    The basic interval moves towards the latter without reaching it; in it, differences in which nothing changes would
    lie beside 0 two to four times as often as they should.
    """
    estimate, low, high = estimate_and_interval(replicates)
    bias = replicates[1:].mean() - estimate
    return np.array([estimate, *np.clip([low - bias, high - bias], -bound, bound)])
