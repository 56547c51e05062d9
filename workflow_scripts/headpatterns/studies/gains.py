"""The gain of one variant of section 5 over another: the numbers of the tables of differences, and names of effects."""

from collections.abc import Sequence
from typing import Any

from headpatterns.statistics.accuracy import ACCURACY, Measure, Outcome, gain, spread_of_gain

COLUMNS = ("value", "low", "high", "spread", "varies")
"""Columns of the tables of differences: the gain of the first variant, above 0 if it is better for every measure; its
interval, paired over items, with the training seeds or, for a single seed, the random draws; its standard deviation
over seeds and draws; and the sources of variation that the interval covers."""


def gains(better: Sequence[Outcome], worse: Sequence[Outcome]) -> tuple[Any, ...]:
    """Values of `COLUMNS`; the arguments are those of `accuracy.gain`."""
    found = gain(better, worse)
    return found.estimate, *found.interval(), spread_of_gain(better, worse), "; ".join(found.varies)


def named(effect: str, measure: Measure) -> str:
    """The name of an effect on a measure: its own for accuracy, and with the suffix `_nll` for the log-likelihood."""
    return effect if measure is ACCURACY else f"{effect}_{measure.name}"
