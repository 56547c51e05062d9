"""The share of items that a model gets right, the mean over training seeds, with an interval over items and seeds.

Wilson's interval keeps a width where every answer is right or every one is wrong, which no bootstrap does. Seeds answer
the same items, so its number of items is an effective one (Korn and Graubard 1998): as many as give, with independent
answers, the variance that the mean over seeds has over items. It lies between the number of items, where the seeds get
the same ones right, and that times the seeds, where they err apart. What seeds vary by is added, on either side, as
the root of the sum of squares (MOVER; Zou and Donner 2008), as `headpatterns.statistics.effects` adds components.
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
    """The mean share of marks, [runs, items] of 1 or 0, a run for each training seed.

    Of one run the interval is Wilson's, and covers the choice of items alone.
    """
    value = float(marks.mean())
    items = effective_items(marks)
    low, high = wilson(value * items, items, CONFIDENCE)
    seeds = reach_of_mean(marks.mean(axis=1), CONFIDENCE) if len(marks) > 1 else 0.0
    return Share(
        value, max(value - math.hypot(value - low, seeds), 0.0), min(value + math.hypot(high - value, seeds), 1.0)
    )


def effective_items(marks: Float[np.ndarray, "runs items"]) -> float:
    """Independent answers that say as much about the items as all runs together."""
    runs, items = (float(size) for size in marks.shape)
    value, spread = float(marks.mean()), float(np.var(marks.mean(axis=0)))
    if value in (0.0, 1.0) or runs == 1:
        return items
    most = runs * items
    return min(max(items * value * (1 - value) / spread, items), most) if spread else most
