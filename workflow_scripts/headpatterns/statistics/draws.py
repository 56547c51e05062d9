"""Our choice compared with random draws: a useful choice must rank high among random choices.

Draws are nested in seeds: each seed has its own. `accuracy.of_draws` computes their share of the error term.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headpatterns.errors import InputError


@dataclass(frozen=True)
class Ranked:
    """The rank of ours among the draws.

    Attributes:
        by_seed: for each seed, (1 + number of draws at least as good as ours) / (1 + number of draws).
        p_above: one-sided p over seeds that ours is better than a draw.
        p_below: the same for worse, counting draws that are at most as good.
        p_least: the least possible value of both with this number of seeds and draws.
    """

    by_seed: tuple[float, ...]
    p_above: float
    p_below: float
    p_least: float


def rank_p(
    ours: Sequence[float], draws: Sequence[Sequence[float] | Float[np.ndarray, " draws"]], same_choice: bool = False
) -> Ranked:
    """Exact one-sided p of the rank of ours among the draws, over seeds. Ties count against ours.

    If ours is one more draw, its rank in a seed is uniform on 1 ... 1 + draws. If it is chosen separately in each seed,
    ranks are independent and p is the probability of at most their sum. If the choice is the same in every seed, its
    chance effect repeats. Then p is twice the mean over seeds, which is valid for any dependence between seeds
    (Rüschendorf 1982). It needs at least 39 draws to reach 0.05 over several seeds, and 19 with one.

    Args:
        ours: [seeds], such as accuracies.
        draws: [draws] of each seed.
        same_choice: whether all seeds share one choice.

    Raises:
        InputError: a seed has no draw, or the two do not have the same seeds.
    """
    if not ours or len(ours) != len(draws) or not all(len(found) for found in draws):
        raise InputError(
            f"the variant has {len(ours)} seeds, with {[len(found) for found in draws]} random draws: give at "
            "least one random draw for every seed."
        )
    pairs = [(float(one), np.asarray(found)) for one, found in zip(ours, draws, strict=True)]
    sizes = [1 + len(found) for _, found in pairs]
    ranks = [1 + int(np.count_nonzero(found >= one)) for one, found in pairs]
    reversed_ranks = [1 + int(np.count_nonzero(found <= one)) for one, found in pairs]
    by_seed = tuple(rank / size for rank, size in zip(ranks, sizes, strict=True))
    over_seeds = _twice_the_mean if same_choice and len(pairs) > 1 else _at_most
    least = over_seeds([1] * len(sizes), sizes)
    if any(np.isnan(one) or np.isnan(found).any() for one, found in pairs):
        return Ranked((np.nan,) * len(pairs), np.nan, np.nan, least)
    return Ranked(by_seed, over_seeds(ranks, sizes), over_seeds(reversed_ranks, sizes), least)


def _at_most(ranks: Sequence[int], sizes: Sequence[int]) -> float:
    """Probability that independent uniform ranks, each of 1 ... size, have at most this sum."""
    distribution = np.ones(1)
    for size in sizes:
        distribution = np.convolve(distribution, np.full(size, 1 / size))
    return min(1.0, float(distribution[: sum(ranks) - len(ranks) + 1].sum()))


def _twice_the_mean(ranks: Sequence[int], sizes: Sequence[int]) -> float:
    return min(1.0, 2 * float(np.mean(np.divide(ranks, sizes))))
