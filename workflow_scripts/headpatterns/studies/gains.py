"""What one variant of section 5 has over another: the numbers of the tables of differences, and names of effects."""

from collections.abc import Sequence
from typing import Any

from headpatterns.statistics.accuracy import ACCURACY, Measure, Outcome, gain, spread_of_gain

COLUMNS = ("value", "low", "high", "spread", "varies")
"""Of the tables of differences: what the first variant gains, above 0 where it is better, whatever the measure; its
interval, paired over items, with the training seeds or the random draws of a single one; its standard deviation over
seeds and draws; and what the interval holds."""


def gains(better: Sequence[Outcome], worse: Sequence[Outcome]) -> tuple[Any, ...]:
    """Values of `COLUMNS`; the arguments are those of `accuracy.gain`."""
    found = gain(better, worse)
    return found.estimate, *found.interval(), spread_of_gain(better, worse), "; ".join(found.varies)


def named(effect: str, measure: Measure) -> str:
    """The name of an effect on a measure: its own for accuracy, with `_nll` behind it for the log-likelihood."""
    return effect if measure is ACCURACY else f"{effect}_{measure.name}"
