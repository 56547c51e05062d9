"""The interval of a single evaluation. It is not in the statistics, whose imports OpenCompass's environment lacks."""

import math

import scipy


def wilson(correct: float, items: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of the share `correct / items`, without continuity correction; NaN without items.

    Wilson (1927), Probable inference, the law of succession, and statistical inference. The counts may be fractions,
    such as a mean over runs, or an effective number of items.
    """
    if items == 0:
        return math.nan, math.nan
    z = float(scipy.special.ndtri(0.5 + confidence / 2))
    share, weight = correct / items, 1 + z**2 / items
    middle = (share + z**2 / (2 * items)) / weight
    reach = z * math.sqrt(share * (1 - share) / items + z**2 / (4 * items**2)) / weight
    return (0.0 if correct == 0 else middle - reach), (1.0 if correct == items else middle + reach)
