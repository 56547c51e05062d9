"""How well a ranking finds the relevant items: precision at n, average precision, and their values by chance.

Rankings are given as relevance in their order: 1 if an item is relevant, otherwise 0. As in `bootstrap`, an array of
replicates [1 + B, items] has the ranking itself at index 0.
"""

import numpy as np
import scipy
from jaxtyping import Float, Int

from headpatterns.statistics.bootstrap import SHARE, debiased

TAIL = 0.025
"""Share of chance rankings beyond either end of their range."""


def precisions(relevance: Float[np.ndarray, "*batch items"]) -> Float[np.ndarray, "*batch items"]:
    """Share of relevant items among the first 1, 2, ... of a ranking."""
    return np.cumsum(relevance, axis=-1) / np.arange(1, relevance.shape[-1] + 1)


def average_precision(relevance: Float[np.ndarray, "*batch items"]) -> Float[np.ndarray, "*batch"]:
    """Mean over the relevant items of the precision at the place of each; NaN if no item is relevant."""
    count = relevance.sum(axis=-1)
    found = (precisions(relevance) * relevance).sum(axis=-1)
    return np.where(count > 0, found / np.where(count > 0, count, 1), np.nan)


def redrawn(
    relevance: Float[np.ndarray, " items"], weights: Float[np.ndarray, "replicates items"]
) -> Float[np.ndarray, "replicates items"]:
    """Relevance in the ranking of redrawn items: an item that is drawn several times is repeated next to itself.

    Args:
        relevance: of the items in their order.
        weights: [1 + B, items], of `probe_weights`, in the same order.
    """
    items = len(relevance)
    counts: Int[np.ndarray, "replicates items"] = np.rint(weights * items).astype(int)
    places = np.repeat(np.tile(np.arange(items), len(counts)), counts.ravel())
    return np.asarray(relevance[places].reshape(len(counts), items))


def value_and_interval(
    replicates: Float[np.ndarray, " replicates"], confidence: float = 0.95
) -> Float[np.ndarray, " 3"]:
    """Plain value, lower and upper end of its interval for another draw of the items: [1 + B] to [3].

    The interval is `plain ± z STRETCH (standard deviation of the replicates)`, within 0 and 1. No bias is removed: an
    item that is drawn twice is next to itself, but the ranking itself has no such bias.
    """
    _, error = debiased(replicates, SHARE)
    reach = float(scipy.special.ndtri(0.5 + confidence / 2)) * error
    plain = np.asarray(replicates[0], dtype=np.float64)
    return np.stack([plain, np.clip(plain - reach, *SHARE), np.clip(plain + reach, *SHARE)])


def chance_of_precision(items: int, relevant: int, first: int, hits: int) -> tuple[float, float, float, float]:
    """Precision among the `first` of a ranking by chance: expected value, range of 95 %, and p of `hits` or more.

    The number of relevant items among the first has the hypergeometric distribution.
    """
    chance = scipy.stats.hypergeom(items, relevant, first)
    low, high = (float(chance.ppf(place)) / first for place in (TAIL, 1 - TAIL))
    return relevant / items, low, high, float(chance.sf(hits - 1))


def chance_of_average_precision(
    items: int, relevant: int, found: float, permutations: int, seed: int
) -> tuple[float, float, float, float]:
    """Average precision of a ranking by chance: expected value, range of 95 %, and p of `found` or more.

    With N items of which R are relevant, two places of a ranking are both relevant with probability
    R (R - 1) / (N (N - 1)). So the expected value is `(H + (N - H) (R - 1) / (N - 1)) / N`, H = 1 + 1/2 + ... + 1/N.
    Range and p are those of permutations; p is (1 + number of at least `found`) / (1 + permutations).
    """
    harmonic = float((1 / np.arange(1, items + 1)).sum())
    others = (relevant - 1) / (items - 1) if items > 1 else 0.0
    generator = np.random.Generator(np.random.PCG64([seed, items, relevant]))
    ordered = np.tile(np.arange(items) < relevant, (permutations, 1)).astype(float)
    drawn = average_precision(generator.permuted(ordered, axis=1))
    low, high = np.quantile(drawn, [TAIL, 1 - TAIL])
    as_good = int(np.count_nonzero(drawn >= found - 1e-12))
    p_value = (1 + as_good) / (1 + permutations)
    return (harmonic + (items - harmonic) * others) / items, float(low), float(high), p_value
