"""Verdicts on claims: whether an effect holds, is reversed, is too small to matter, or is undecided.

A claim says that an effect is above (or below) a bound, 0 or a threshold such as Gini > 0.4, and names the smallest
effect of interest. Its verdict is the first of these that applies:

1. `negligible`: the 90 % interval is within bound ± smallest effect (two one-sided tests at 5 %, Schuirmann 1987).
   It comes first, because a significant effect that is shown to be too small does not make a claim true.
2. `holds`, `reversed`: the p-value, adjusted by Holm within the claim's family, is at most 5 %, and the estimate is on
   the side of the claim, or on the other side.
3. `undecided`: all other cases. `power` says whether the data could have decided.

Whether a claim can be tested at all is decided earlier (`headpatterns.claims.gates`).
"""

import math
from collections.abc import Sequence

import numpy as np
import scipy

from headpatterns.errors import InputError
from headpatterns.statistics.effects import Effect, quantile

HOLDS, REVERSED, NEGLIGIBLE, UNDECIDED = "holds", "reversed", "negligible", "undecided"
ALPHA = 0.05
POWER_STEPS = 400


def p_value(effect: Effect, bound: float = 0.0, exact: bool = True) -> float:
    """The p-value of an effect against its bound; NaN if no test is possible.

    With `exact`, and if the effect has an exact test against this bound, it is the larger of two one-sided p-values on
    the side of the estimate. The exact one covers only the source that it permutes or ranks, and the one of the
    interval covers the others. The error rate of each side is then at most 5 %.

    Otherwise it is two-sided, from the effect's interval. If nothing varied, this p does not exist, and it would go to
    0 as the variance goes to 0. The result is then twice the exact p, which stays large with few tasks or draws.
    """
    two_sided = effect.p_two_sided(bound)
    one_sided = effect.p_above if effect.estimate > bound else effect.p_below
    if bound != effect.exact_bound or math.isnan(one_sided):
        return two_sided
    if exact:
        return one_sided if math.isnan(two_sided) else max(one_sided, two_sided / 2)
    return min(1.0, 2 * one_sided) if math.isnan(two_sided) else two_sided


def least_p(effect: Effect, bound: float = 0.0, exact: bool = True) -> float:
    """The least possible `p_value` with this number of tasks or draws, for any data; 0 if there is no limit."""
    if bound != effect.exact_bound or math.isnan(effect.p_least):
        return 0.0
    if exact:
        return effect.p_least
    return min(1.0, 2 * effect.p_least) if math.isnan(effect.p_two_sided(bound)) else 0.0


def step_level(adjusted: Sequence[float], alpha: float = ALPHA) -> float:
    """The level at which `holm` tests what it does not reject: alpha over their number, or alpha if there are none.

    If the effect of one of them had been larger, its p would have been tested next, at this level.

    Args:
        adjusted: p-values of a family, as `holm` gives them.
        alpha: level of the family.
    """
    return alpha / max(1, sum(p > alpha for p in adjusted))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values of one family adjusted by Holm (1979), in their order; NaN stays and does not count.

    `max_{j <= i} min(1, (m - j + 1) p_(j))` for the i-th smallest of m.
    """
    adjusted = [math.nan] * len(p_values)
    places = sorted((place for place, p in enumerate(p_values) if not math.isnan(p)), key=lambda place: p_values[place])
    largest = 0.0
    for rank, place in enumerate(places):
        largest = max(largest, min(1.0, (len(places) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def verdict(
    effect: Effect, p_adjusted: float, bound: float = 0.0, above: bool = True, smallest: float = math.nan
) -> str:
    """`holds`, `reversed`, `negligible` or `undecided`; see the top of this module.

    Args:
        effect: the number and its error term.
        p_adjusted: of `p_value`, adjusted by `holm` within the family.
        bound: the bound to compare the effect with.
        above: whether the claim says that it is larger; False for smaller.
        smallest: smallest effect of interest, a distance from the bound; NaN if no effect is too small.
    """
    low, high = effect.interval(1 - 2 * ALPHA)
    if bound - smallest < low and high < bound + smallest:
        return NEGLIGIBLE
    if not p_adjusted <= ALPHA or effect.estimate == bound:
        return UNDECIDED
    return HOLDS if (effect.estimate > bound) == above else REVERSED


def power(effect: Effect, smallest: float, alpha: float = ALPHA) -> float:
    """Power of the two-sided test at the smallest effect of interest, from the effect's own error term.

    It is the mean of `P(|N(smallest, sum v_i)| > reach)` over the errors of the components' variances, whose ratios to
    the true ones are chi-squared / df. With a single component this is the noncentral t distribution. It is the power
    if the true error term equals the estimated one. Two or three seeds often underestimate it: in simulation the
    printed power is then too high on average, by up to 0.25 and 0.15. It is the power of a single test at level
    `alpha`; `step_level` gives the level in a family. NaN if there is no error term or no smallest effect.
    """
    error = effect.standard_error
    if not error > 0 or math.isnan(smallest):
        return math.nan
    squared = np.zeros(1)
    middles = (np.arange(POWER_STEPS) + 0.5) / POWER_STEPS
    for part in effect.components:
        ratios = scipy.stats.chi2.ppf(middles, part.df) / part.df if part.df < math.inf else np.ones(1)
        squared = np.add.outer(squared, quantile(1 - alpha, part.df) ** 2 * part.variance * ratios).ravel()
    reach, shift = np.sqrt(squared) / error, abs(smallest) / error
    return float(np.mean(scipy.special.ndtr(shift - reach) + scipy.special.ndtr(-shift - reach)))


def discordances(share_a: float, share_b: float) -> tuple[float, float]:
    """Shares of items that only one of two models answers correctly: the least possible, and with independent errors.

    Models with similar fine-tuning make errors on the same items, so the true share is between the two.
    """
    return abs(share_a - share_b), share_a * (1 - share_b) + share_b * (1 - share_a)


def power_of_items(items: int, share_a: float, share_b: float, discordant: float, alpha: float = ALPHA) -> float:
    """Power of McNemar's exact two-sided test to distinguish two accuracies on the same items.

    The number M of discordant items is binomial (items, `discordant`). The number of them that the first model wins is
    binomial with `(discordant + share_a - share_b) / (2 discordant)`. The test rejects if this number is too far from
    M / 2.

    Args:
        items: number of items.
        share_a: true accuracy of the first model.
        share_b: true accuracy of the second model.
        discordant: share of items that only one of them answers correctly, such as those of `discordances`.
        alpha: level of the test.

    Raises:
        InputError: no item, or accuracies that cannot have this share of discordant items.
    """
    gain, most = share_a - share_b, min(share_a + share_b, 2 - share_a - share_b)
    if items < 1:
        raise InputError(f"power_of_items is given {items} items: give 1 or more.")
    if not abs(gain) - 1e-12 <= discordant <= most + 1e-12:
        raise InputError(
            f"accuracies of {share_a} and {share_b} cannot differ on a share of {discordant} of the items: "
            f"give a share from {abs(gain):.4g} to {most:.4g}."
        )
    if discordant <= 0:
        return 0.0
    binomial = scipy.stats.binom
    count = np.arange(items + 1)
    # The largest number of wins at which the lower tail of a fair coin has at most alpha / 2; -1 if there is none.
    critical = binomial.ppf(alpha / 2, count, 0.5)
    critical = np.where(binomial.cdf(critical, count, 0.5) <= alpha / 2, critical, critical - 1)
    winning = min(1.0, max(0.0, (discordant + gain) / (2 * discordant)))
    rejects = binomial.cdf(critical, count, winning) + binomial.cdf(critical, count, 1 - winning)
    return float(binomial.pmf(count, items, discordant) @ rejects)
