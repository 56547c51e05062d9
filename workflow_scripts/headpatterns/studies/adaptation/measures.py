"""Measures of patterns before and after fine-tuning: their spread over the heads, their level, and their coherence.

Values are replicates [1 + B], the estimate first, by state and statistic.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from headpatterns.attribution import files
from headpatterns.attribution.patterns import SIGNED
from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import CORRELATION, NOT_NEGATIVE, SHARE, STATISTICS, UNLIMITED
from headpatterns.statistics import LIMITS as SPREAD_LIMITS
from headpatterns.statistics.levels import against_base, coherence, level, noise_floor, share_rising, skewness
from headpatterns.studies import patterns
from headpatterns.studies.reading import Reading

SPREAD = {**STATISTICS, "skewness": skewness}
OF_CHANGES = ("rising", "against_base")
"""Statistics that only the change from before to after has."""

LIMITS = {
    **SPREAD_LIMITS,
    "skewness": UNLIMITED,
    "level": NOT_NEGATIVE,
    "coherence": SHARE,
    "rising": SHARE,
    "against_base": CORRELATION,
}
"""Least and largest value of each statistic; changes of statistics of patterns have no limits."""

Values = dict[tuple[str, str], np.ndarray]
"""Replicates [1 + B] by statistic and state."""


def of_patterns(before: np.ndarray, after: np.ndarray) -> Values:
    """Spread, level and statistics of the change, for patterns [1 + B, layers, heads] before and after fine-tuning."""
    values: Values = {}
    of_after = of_one(after)
    for name, value in of_one(before).items():
        values |= with_change(name, value, of_after[name])
    values["rising", "change"] = share_rising(before, after)
    values["against_base", "change"] = against_base(before, after)
    return values


def of_one(pattern: np.ndarray) -> dict[str, np.ndarray]:
    """Spread and level of a pattern [1 + B, layers, heads]: [1 + B] by statistic."""
    return {name: statistic(pattern) for name, statistic in {**SPREAD, "level": level}.items()}


def with_change(name: str, before: np.ndarray, after: np.ndarray) -> Values:
    """A statistic before and after fine-tuning, and its change."""
    return {(name, "before"): before, (name, "after"): after, (name, "change"): after - before}


def has_sign(run: RunRow) -> bool:
    """Whether values with a sign were extracted, independent of the reduction in which patterns are read."""
    about = files.about(run.patterns, 0)
    return bool(SIGNED & {about.reduction, *about.also})


def of_signs(run: RunRow, weights: np.ndarray) -> Values:
    """Coherence of a run before and after fine-tuning.

    Args:
        run: a run that has values with a sign.
        weights: [1 + B, samples] of its probe samples.
    """
    steps = files.steps(run.patterns)
    found = [coherence(patterns.signed(run, step), weights) for step in (steps[0], steps[-1])]
    return with_change("coherence", *found)


def floor_of(weights: np.ndarray) -> float:
    """The coherence of pure noise, with the weights [1 + B, samples] of a run."""
    return noise_floor(weights[0])


def of_mean_patterns(before: np.ndarray, after: np.ndarray) -> Values:
    """Like `of_patterns`, for the mean over tasks of patterns [1 + B, tasks, layers, heads]."""
    return of_patterns(before.mean(axis=1), after.mean(axis=1))


def mean_values(found: Iterable[Values]) -> Values:
    """The mean of each value over runs or seeds."""
    gathered: dict[tuple[str, str], list[np.ndarray]] = {}
    for values in found:
        for key, replicates in values.items():
            gathered.setdefault(key, []).append(replicates)
    return {key: np.mean(replicates, axis=0) for key, replicates in gathered.items()}


def stacked(runs: Sequence[RunRow], resamples: int, seed: int, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
    """Patterns of the runs of one seed before and after fine-tuning, each [1 + B, tasks, layers, heads].

    They are the largest arrays of the study: with 7 tasks, 1024 heads and 1000 replicates, each has 57 MB.
    """
    before = after = np.empty(0)
    for place, run in enumerate(runs):
        pair = patterns.paired(run, resamples, seed, reading)
        if place == 0:
            shape = (len(pair[0]), len(runs), *pair[0].shape[1:])
            before, after = np.empty(shape), np.empty(shape)
        before[:, place], after[:, place] = pair
    return before, after
