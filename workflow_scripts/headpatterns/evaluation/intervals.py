"""The interval of a single evaluation, apart from the statistics: OpenCompass's environment has not all they import."""

import scipy


def wilson(correct: int, items: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of the share `correct / items`, without continuity correction; NaN without items.

    Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    if items == 0:
        return float("nan"), float("nan")
    interval = scipy.stats.binomtest(correct, items).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)
