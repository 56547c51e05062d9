"""Are most tasks on one side of a bound? The exact sign test, which needs no variance.

A share of heads that is 0 in every run has no error term, but is still informative: all tasks are on one side.
"""

from collections.abc import Sequence

import scipy


def sign_test(values: Sequence[float], bound: float) -> tuple[float, float, float]:
    """One-sided p that values are above the bound, the same for below, and the least possible value of both.

    If both sides are equally likely for a task, the number above is binomial (T, 1/2). So T tasks on one side have a p
    of 2^-T. A task at the bound counts against both sides.

    Args:
        values: [T], one for each task.
        bound: the bound to compare with.
    """
    tasks = len(values)
    above, below = sum(value > bound for value in values), sum(value < bound for value in values)
    p_above, p_below = (float(scipy.stats.binom.sf(count - 1, tasks, 0.5)) for count in (above, below))
    return p_above, p_below, 0.5**tasks
