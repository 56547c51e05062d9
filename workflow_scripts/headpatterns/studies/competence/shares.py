"""The share of items that a model answers correctly, the mean over training seeds, with an interval over items and
seeds.

Unlike a bootstrap, Wilson's interval has a width even if all answers are correct or all are wrong. Seeds answer the
same items, so it uses an effective number of items (Korn and Graubard 1998). With this number, independent answers
would have the same variance over items as the mean over seeds. It is between the number of items, if all seeds answer
the same ones correctly, and that number times the seeds, if their errors are independent. The variation of seeds is
added on both sides as the root of the sum of squares (MOVER; Zou and Donner 2008), as in
`headpatterns.statistics.effects`.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from headpatterns.evaluation.intervals import wilson
from headpatterns.statistics.effects import reach_of_mean

CONFIDENCE = 0.95


class Share(NamedTuple):
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float


UNKNOWN = Share(math.nan, math.nan, math.nan)


def share(marks: Float[np.ndarray, "runs items"]) -> Share:
    """The mean share of marks, [runs, items] of 1 or 0, with a run for each training seed.

    With one run the interval is Wilson's, and covers only the choice of items.
    """
    value = float(marks.mean())
    items = effective_items(marks)
    low, high = wilson(value * items, items, CONFIDENCE)
    seeds = reach_of_mean(marks.mean(axis=1), CONFIDENCE) if len(marks) > 1 else 0.0
    return Share(
        value, max(value - math.hypot(value - low, seeds), 0.0), min(value + math.hypot(high - value, seeds), 1.0)
    )


def effective_items(marks: Float[np.ndarray, "runs items"]) -> float:
    """The number of independent answers with the same information about the items as all runs together."""
    runs, items = (float(size) for size in marks.shape)
    value, spread = float(marks.mean()), float(np.var(marks.mean(axis=0)))
    if value in (0.0, 1.0) or runs == 1:
        return items
    most = runs * items
    return min(max(items * value * (1 - value) / spread, items), most) if spread else most
