"""Verdicts on claims: does an effect hold, in which direction, is it too small to matter, or is it open?

A claim says that an effect lies above (or below) a bound, 0 or a threshold such as Gini > 0.4, and names the smallest
effect of interest. Its verdict is the first of these that applies:

1. `negligible`: the 90 % interval lies within bound ± smallest effect (two one-sided tests at 5 %, Schuirmann 1987).
   It comes first: what is significant and still shown to be smaller than what matters does not make a claim true.
2. `holds`, `reversed`: the p-value, adjusted by Holm within the claim's family, is at most 5 %, and the estimate lies
   on the side that the claim says, or on the other one.
3. `undecided`: anything else. `power` says whether the data could have decided.

Whether a claim can be tested at all is decided before, by those who know the models.
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
    """The p-value of an effect against its bound; NaN where there is nothing to test with.

    With `exact`, and where the effect has an exact test against this bound, it is the larger of two one-sided p-values
    on the side of the estimate. The exact one speaks for what it permutes or ranks alone, and that of the interval for
    the rest. Each side then errs at 5 % at most.

    Otherwise it is two-sided, of the effect's interval. Where nothing varied there is no such p, and as the variance
    goes to 0 it would go to 0 as well. It is then twice the exact one, which stays as large as few tasks or draws are.
    """
    two_sided = effect.p_two_sided(bound)
    one_sided = effect.p_above if effect.estimate > bound else effect.p_below
    if bound != effect.exact_bound or math.isnan(one_sided):
        return two_sided
    if exact:
        return one_sided if math.isnan(two_sided) else max(one_sided, two_sided / 2)
    return min(1.0, 2 * one_sided) if math.isnan(two_sided) else two_sided


def least_p(effect: Effect, bound: float = 0.0, exact: bool = True) -> float:
    """The least that `p_value` can be with as many tasks or draws, whatever the data; 0 where these set no limit."""
    if bound != effect.exact_bound or math.isnan(effect.p_least):
        return 0.0
    if exact:
        return effect.p_least
    return min(1.0, 2 * effect.p_least) if math.isnan(effect.p_two_sided(bound)) else 0.0


def step_level(adjusted: Sequence[float], alpha: float = ALPHA) -> float:
    """The level at which `holm` tests what it does not reject: alpha over the number of those; alpha where it is none.

    Had the effect of one of them been larger, its p would have been the next to be tested, at this level.

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
        bound: what the effect is compared with.
        above: whether the claim says that it is larger; False for smaller.
        smallest: smallest effect of interest, a distance from the bound; NaN where no effect is too small.
    """
    low, high = effect.interval(1 - 2 * ALPHA)
    if bound - smallest < low and high < bound + smallest:
        return NEGLIGIBLE
    if not p_adjusted <= ALPHA or effect.estimate == bound:
        return UNDECIDED
    return HOLDS if (effect.estimate > bound) == above else REVERSED


def power(effect: Effect, smallest: float, alpha: float = ALPHA) -> float:
    """Power of the two-sided test at the smallest effect of interest, from the effect's own error term.

    The mean of `P(|N(smallest, sum v_i)| > reach)` over the errors of the components' variances, whose ratios to the
    true ones are chi-squared / df: the noncentral t distribution where there is a single component. It is the power if
    the true error term is as large as the estimated one. Two or three seeds often understate theirs: in simulation the
    printed power is then too high on average, by up to 0.25 and 0.15. It is that of a single test at level `alpha`:
    `step_level` gives that of a family. NaN where there is no error term or no smallest effect.
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
    """Shares of items that one of two models alone gets right: the least that is possible, and if both err apart.

    Models that are fine-tuned alike err on the same items, so the truth lies between the two.
    """
    return abs(share_a - share_b), share_a * (1 - share_b) + share_b * (1 - share_a)


def power_of_items(items: int, share_a: float, share_b: float, discordant: float, alpha: float = ALPHA) -> float:
    """Power of McNemar's exact two-sided test to tell two accuracies apart that are taken on the same items.

    Of M discordant items, binomial (items, `discordant`), the number won by the first model is binomial with
    `(discordant + share_a - share_b) / (2 discordant)`; the test rejects where that number is too far from M / 2.

    Args:
        items: number of items.
        share_a: true accuracy of the first model.
        share_b: that of the second.
        discordant: share of items that one of them alone gets right, such as those of `discordances`.
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
    # The largest number of wins at which the lower tail of a fair coin has at most alpha / 2; -1 where none has.
    critical = binomial.ppf(alpha / 2, count, 0.5)
    critical = np.where(binomial.cdf(critical, count, 0.5) <= alpha / 2, critical, critical - 1)
    winning = min(1.0, max(0.0, (discordant + gain) / (2 * discordant)))
    rejects = binomial.cdf(critical, count, winning) + binomial.cdf(critical, count, 1 - winning)
    return float(binomial.pmf(count, items, discordant) @ rejects)
