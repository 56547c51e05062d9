"""Controls of Eq. 3, to distinguish a fit between changes from a fit between base patterns.

A change that is nearly a negative multiple of the pattern before repeats the information of that pattern. Then tasks
with similar base patterns explain each other's changes, independent of fine-tuning. Two controls show this: the same
equation between base patterns alone, and between changes after removing the part along their own base pattern.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

from headpatterns.errors import InputError
from headpatterns.statistics.distribution import flat

OF = ("change", "base", "partialled")
"""The three equations: between changes, between base patterns, between changes without their own base pattern."""

# Patterns are stored as float32, with a relative resolution of 6e-8. If less than this share of a change is left, it is
# only rounding of its patterns.
RESOLUTION = 1e-6


class Observed(NamedTuple):
    """A run's pattern before fine-tuning and its change, each [1 + B, layers, heads], on the same draws of samples."""

    before: Float[np.ndarray, "replicates layers heads"]
    change: Float[np.ndarray, "replicates layers heads"]


class Equation(NamedTuple):
    """Both sides of Eq. 3: the complex task [1 + B, layers, heads], the basic tasks [1 + B, tasks, layers, heads]."""

    target: Float[np.ndarray, "replicates layers heads"]
    basic: Float[np.ndarray, "replicates tasks layers heads"]


def equations(target: Observed, basic: Sequence[Observed], intercept: bool) -> dict[str, Equation]:
    """The equation of each of `OF`, all over the same heads.

    Heads whose change is not finite in some run (a rate or log-ratio if the pattern before is 0) are left out of all
    three; only the estimate decides this. The other heads are then in one row, [..., 1, heads left].

    Args:
        target: the run on the complex task.
        basic: the runs on the basic tasks, at least one.
        intercept: whether the equations have a constant, which is then removed together with the base pattern.

    Raises:
        InputError: no head has a finite change in every run.
    """
    finite = np.all([np.isfinite(run.change[0]) for run in (target, *basic)], axis=0)
    if not finite.any():
        raise InputError(
            "No head has a pattern above 0 before fine-tuning in every compared run, so no rate of change "
            "exists: set analysis.change to difference."
        )
    if not finite.all():
        target, *basic = (Observed(*(values[:, None, finite] for values in run)) for run in (target, *basic))
    without = [partialled(run.change, run.before, intercept) for run in (target, *basic)]
    return {
        "change": Equation(target.change, np.stack([run.change for run in basic], axis=1)),
        "base": Equation(target.before, np.stack([run.before for run in basic], axis=1)),
        "partialled": Equation(without[0], np.stack(without[1:], axis=1)),
    }


def partialled(
    change: Float[np.ndarray, "*batch layers heads"], before: Float[np.ndarray, "*batch layers heads"], intercept: bool
) -> Float64[np.ndarray, "*batch layers heads"]:
    """A change without its projection on its own base pattern: the residual of regressing the one on the other.

    A residual below `RESOLUTION` of the change counts as 0 in all heads. If the base pattern is 0 everywhere (or, with
    an intercept, constant), nothing is removed.

    Args:
        change: [..., layers, heads].
        before: the patterns before fine-tuning, same shape.
        intercept: whether the regression also has a constant.
    """
    whole, base = flat(change), flat(before)
    left = whole
    if intercept:
        base = base - base.mean(axis=-1, keepdims=True)
        left = whole - whole.mean(axis=-1, keepdims=True)
    square = np.square(base).sum(axis=-1, keepdims=True)
    slope = (left * base).sum(axis=-1, keepdims=True) / np.where(square == 0, 1.0, square)
    left = left - slope * base
    length, before_length = (np.linalg.norm(values, axis=-1, keepdims=True) for values in (left, whole))
    return np.where(length <= RESOLUTION * before_length, 0.0, left).reshape(np.shape(change))
