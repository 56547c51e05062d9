"""Which basic tasks prepare a model for a complex one, and how many instructions of each (§5.1, Eq. 3 and 4)?

SFT on a little data of the complex task (the target) changes the pattern. This change is written as a weighted sum of
the changes from SFT on candidate basic tasks (Eq. 3). The tasks with the largest positive coefficients make up the
data for a first stage of SFT. Each has a share of the N instructions in proportion to its coefficient (Eq. 4).
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from headpatterns.data.splitting import rank
from headpatterns.statistics import regression as composition
from headpatterns.statistics.distribution import flat, is_constant

COEFFICIENT_COLUMNS = (
    *("model", "seed", "task", "beta", "low", "high", "r2", "kept", "share", "instructions", "plain"),
    *("beta_base", "kept_base", "beta_partialled", "kept_partialled"),
)
"""Columns of coefficients.csv, one row per candidate, and of the table that joins all of these files. The last four say
what the controls of `headpatterns.statistics.controls` would give and keep; no mixture is made from them."""

PICK_COLUMNS = ("model", "seed", "of", "tasks", "share", "kept", "chance")
"""Columns of picks.csv, one row per choice of tasks that the bootstrap could make or has made."""

# A task that moves the fit by less than this share of the target's change does so by the rounding of float64: its
# coefficient is 0, neither positive nor negative.
ROUNDING = 1e-10
# Significant digits that decide between two coefficients: as many as the tables show, and few enough to hide in which
# order a library added up.
DIGITS = 10


def coefficients(target: np.ndarray, candidates: np.ndarray, intercept: bool) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares coefficients of the target's change on the changes of all candidates (Eq. 3), and R² of the fit.

    A candidate whose change is the same for all heads has no pattern: it takes no part in the fit and its coefficient
    is NaN. If the target's own change is constant, everything is NaN. Linearly dependent candidates share their
    weight, as in `composition.fit_all`.

    Args:
        target: [1 + B, layers, heads], estimate and bootstrap replicates.
        candidates: [1 + B, tasks, layers, heads], on their own draws.
        intercept: whether the fit also has a constant, which is not returned.

    Returns:
        beta [1 + B, tasks] and R² [1 + B].
    """
    constant = is_constant(flat(candidates))
    columns = np.where(constant[..., None, None], 0.0, candidates)
    terms = columns.shape[1] + intercept
    beta, r2 = composition.solve(composition.reduce(target, columns, intercept), list(range(terms)))
    beta = beta[:, : columns.shape[1]]
    moved = np.abs(beta) * np.linalg.norm(flat(columns), axis=-1)
    length = np.linalg.norm(flat(target), axis=-1, keepdims=True)
    beta = np.where(moved <= ROUNDING * length, 0.0, beta)
    return np.where(constant | np.isnan(r2)[:, None], np.nan, beta), r2


def kept(beta: Sequence[float], count: int) -> list[int]:
    """Indices, ascending, of the `count` largest positive coefficients; the earlier of equal coefficients is kept.

    There may be fewer than `count` of them, or none. NaN is never kept.
    """
    compared = [float(f"{value:.{DIGITS}g}") for value in beta]
    positive = [task for task, value in enumerate(compared) if value > 0]
    return sorted(sorted(positive, key=lambda task: (-compared[task], task))[:count])


def picks(beta: np.ndarray, count: int) -> dict[tuple[int, ...], float]:
    """How often each choice of tasks is kept: its share of the B bootstrap replicates, by the indices of its tasks.

    The result has every choice of `count` tasks, and those choices of fewer tasks (if fewer coefficients are above 0)
    that occur.

    Args:
        beta: [1 + B, tasks], the estimate first, which is not counted.
        count: number of tasks to keep.
    """
    found = Counter(tuple(kept(replicate, count)) for replicate in beta[1:])
    listed = dict.fromkeys(combinations(range(beta.shape[1]), min(count, beta.shape[1])))
    return {chosen: found[chosen] / (len(beta) - 1) for chosen in [*listed, *sorted(found.keys() - listed.keys())]}


def chance(tasks: int, count: int) -> float:
    """How often a random choice of `count` of `tasks` tasks is right: 1 / the number of such choices."""
    return 1 / math.comb(tasks, min(count, tasks))


def shares(beta: Sequence[float], chosen: Sequence[int]) -> np.ndarray:
    """Share [tasks] of each task in the mixture: its coefficient / sum over the `chosen` tasks; 0 for all others."""
    weights = np.zeros(len(beta))
    weights[list(chosen)] = np.asarray(beta, dtype=np.float64)[list(chosen)]
    return weights / weights.sum() if len(chosen) else weights


def apportion(total: int, weights: Sequence[float] | np.ndarray) -> list[int]:
    """Whole numbers in proportion to `weights` that sum to `total`, by the largest remainder method.

    Every number is its quota, total x weight / sum of weights, rounded up or down. If remainders are equal, the earlier
    quota is rounded up. `weights` are not negative and not all 0; if there are no weights, the result is empty.
    """
    weight_of_all = math.fsum(weights)
    quotas = [total * float(weight) / weight_of_all for weight in weights]
    whole = [math.floor(quota) for quota in quotas]
    # Rounded, so that remainders that are equal on paper are equal here.
    remainders = [round(quota - least, 9) for quota, least in zip(quotas, whole, strict=True)]
    by_remainder = sorted(range(len(quotas)), key=lambda place: (-remainders[place], place))
    for place in by_remainder[: total - sum(whole)]:
        whole[place] += 1
    return whole


def random_shares(tasks: int, draw: int, seed: int) -> np.ndarray:
    """Shares [tasks] drawn uniformly from all that sum to 1, the Dirichlet distribution of ones.

    A draw depends only on the seed and its own number, not on the model or the number of draws.
    """
    generator = np.random.Generator(np.random.PCG64([seed, draw]))
    return generator.dirichlet(np.ones(tasks)) if tasks else np.zeros(0)


def mixed(samples: Iterable[tuple[str, str]], seed: int) -> list[tuple[str, str]]:
    """Samples (dataset, id) of several tasks, shuffled together with a seed."""
    return sorted(samples, key=lambda sample: (rank(seed, "/".join(sample)), sample))
