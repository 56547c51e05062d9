"""How far two runs move the same heads: the correlation of their changes, at the end of both and at the same loss.

Two runs of one task are compared at the same loss, because the run that has learnt more has also changed more. The
common loss is the higher of their two last losses on the probe set. A run that falls below this loss is read where it
passes it, between two saved steps. Patterns and losses are interpolated linearly between these steps.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from headpatterns.attribution.files import steps
from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import (
    CORRELATION,
    NOT_NEGATIVE,
    Limits,
    change,
    estimate_and_interval,
    log_ratio,
    pearson,
    replicate_patterns,
    spearman,
    standardised,
    without_dead_heads,
)
from headpatterns.studies import patterns
from headpatterns.studies.reading import Reading
from headpatterns.studies.table import Table

METHOD, SEED, TASK = "method", "seed", "task"
"""The ways in which two runs can differ."""

SAME_LOSS, END = "same loss", "end"
"""The points at which two runs are read."""

COLUMNS = (
    *("model", "differ_in", "group", "task", "seed", "other_group", "other_task", "other_seed"),
    *("read_at", "loss", "other_loss", "statistic", "value", "low", "high", "plain"),
)


@dataclass(frozen=True)
class Course:
    """A run from its base model to its last step.

    Attributes:
        run: its row in the run table.
        weights: [1 + B, samples], weights of the probe samples.
        reading: how patterns are read.
    """

    run: RunRow
    weights: Float64[np.ndarray, "replicates samples"]
    reading: Reading

    @cached_property
    def steps(self) -> list[int]:
        """The saved steps, the base model's first."""
        return steps(self.run.patterns)

    @cached_property
    def losses(self) -> Float64[np.ndarray, " steps"]:
        """Mean loss of the probe samples at each saved step, nats per response token."""
        return np.array([patterns.losses(self.run, step).mean() for step in self.steps])

    @cached_property
    def levels(self) -> list[Float64[np.ndarray, "replicates layers heads"]]:
        """The pattern at each saved step, with its replicates."""
        return [replicate_patterns(patterns.load(self.run, step, self.reading), self.weights) for step in self.steps]

    def moved(self, place: float) -> "Moved":
        """The patterns at a place among the saved steps; place 1.5 lies halfway between the steps at 1 and 2."""
        before = int(np.floor(place))
        after, share = min(before + 1, len(self.steps) - 1), place - before
        return Moved(self.levels[0], (1 - share) * self.levels[before] + share * self.levels[after])

    def loss_at(self, place: float) -> float:
        """Loss at a place among the saved steps."""
        return float(np.interp(place, np.arange(len(self.losses)), self.losses))


class Moved(NamedTuple):
    """Patterns of a run before fine-tuning and at a place during it, each [1 + B, layers, heads]."""

    before: Float64[np.ndarray, "replicates layers heads"]
    after: Float64[np.ndarray, "replicates layers heads"]

    @property
    def change(self) -> Float64[np.ndarray, "replicates layers heads"]:
        """The difference."""
        return change(self.before, self.after)


class Pair(NamedTuple):
    """Two runs of one model, and what they differ in."""

    differ_in: str
    one: Course
    other: Course

    def read(self, statistic: str, places: tuple[float, float]) -> Float64[np.ndarray, " replicates"]:
        """One of `STATISTICS` of the runs, each at its place, [1 + B]."""
        computed, _ = STATISTICS[statistic]
        return computed(self.one.moved(places[0]), self.other.moved(places[1]))


def compute(runs: Path, resamples: int, seed: int, reading: Mapping[str, Any] | None = None) -> dict[str, Table]:
    """Agreement of the changes of every two runs that differ in one respect only.

    Args:
        runs: run table (CSV); the methods study is used.
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap.
        reading: fields of a `Reading`.

    Returns:
        `methods`: for each pair the `correlation` and `rank_correlation` of their changes over the heads, and the
        `size` of the other's change as a multiple of the first's (of Euclidean lengths). Where fine-tuning lowers the
        level of every head in proportion, any two changes correlate. So the table also has `log_correlation`, of the
        logarithms of after over before, and `partial_correlation`, of the residuals of the changes after a regression
        on the pattern before.

    Raises:
        InputError: the run table or a pattern folder cannot be used.
    """
    rows: list[tuple[Any, ...]] = []
    for pair in pairs(courses(runs, resamples, seed, Reading.of(reading))):
        for read_at in ends(pair):
            places = places_of(pair, read_at)
            losses = [course.loss_at(place) for course, place in zip(pair[1:], places, strict=True)]
            for statistic, (_, limits) in STATISTICS.items():
                values = pair.read(statistic, places)
                interval = estimate_and_interval(values, limits=limits)
                rows.append((*key_of(pair), read_at, *losses, statistic, *interval, values[0]))
    return {"methods": Table(COLUMNS, rows)}


def courses(runs: Path, resamples: int, seed: int, reading: Reading) -> list[Course]:
    """The runs of the study.

    Raises:
        InputError: the run table or a pattern folder cannot be used.
    """
    rows = patterns.rows_of(runs, "methods")
    patterns.check(rows, reading)
    return [Course(run, patterns.weights(run, resamples, seed, reading), reading) for run in rows]


def pairs(found: Sequence[Course]) -> Iterator[Pair]:
    """Every two runs of one model that differ in one respect only; the first group is paired with each other group."""
    first = found[0].run.group if found else ""
    for place, one in enumerate(found):
        for other in found[place + 1 :]:
            if one.run.model != other.run.model:
                continue
            fields = ((METHOD, "group"), (SEED, "seed"), (TASK, "task"))
            different = [name for name, field in fields if getattr(one.run, field) != getattr(other.run, field)]
            if len(different) == 1 and (different != [METHOD] or one.run.group == first):
                yield Pair(different[0], one, other)


def ends(pair: Pair) -> tuple[str, ...]:
    """The points at which a pair is read; runs of two tasks have no comparable losses and are read at the end only."""
    return (END,) if pair.differ_in == TASK else (SAME_LOSS, END)


def places_of(pair: Pair, read_at: str) -> tuple[float, float]:
    """The place among its saved steps at which each run is read."""
    if read_at == END:
        return len(pair.one.steps) - 1.0, len(pair.other.steps) - 1.0
    common = max(pair.one.losses[-1], pair.other.losses[-1])
    return place_of(pair.one.losses, common), place_of(pair.other.losses, common)


def place_of(losses: Float64[np.ndarray, " steps"], loss: float) -> float:
    """The first place where linearly interpolated losses are `loss` or less; the last place if they never are."""
    reached = np.flatnonzero(losses <= loss)
    if not reached.size:
        return len(losses) - 1.0
    after = int(reached[0])
    if after == 0:
        return 0.0
    return after - 1 + float((losses[after - 1] - loss) / (losses[after - 1] - losses[after]))


def log_correlation(one: Moved, other: Moved) -> Float64[np.ndarray, " replicates"]:
    """Correlation of the logarithms of after over before, over the heads for which both exist."""
    ratios = [log_ratio(moved.before, moved.after) for moved in (one, other)]
    defined = without_dead_heads(np.stack(ratios, axis=1))
    return pearson(defined[:, 0], defined[:, 1])


def size(one: Moved, other: Moved) -> Float64[np.ndarray, " replicates"]:
    """Length of the other's change as a multiple of the first's; NaN where the first has not changed."""
    lengths = [np.linalg.norm(moved.change, axis=(-2, -1)) for moved in (one, other)]
    found = np.full(lengths[0].shape, np.nan)
    np.divide(lengths[1], lengths[0], out=found, where=lengths[0] > 0)
    return found


def without(
    changes: Float64[np.ndarray, "replicates layers heads"], before: Float64[np.ndarray, "replicates layers heads"]
) -> Float64[np.ndarray, "replicates layers heads"]:
    """The residuals of changes after a regression on the pattern before, with an intercept."""
    directions = standardised(before)[..., None, :]
    centred = changes - changes.mean(axis=(-2, -1), keepdims=True)
    flat = centred.reshape(*centred.shape[:-2], 1, -1)
    return np.asarray((flat - (flat * directions).sum(axis=-1, keepdims=True) * directions).reshape(changes.shape))


STATISTICS: Mapping[str, tuple[Callable[[Moved, Moved], Float64[np.ndarray, " replicates"]], Limits]] = {
    "correlation": (lambda one, other: pearson(one.change, other.change), CORRELATION),
    "rank_correlation": (lambda one, other: spearman(one.change, other.change), CORRELATION),
    "log_correlation": (log_correlation, CORRELATION),
    "partial_correlation": (
        lambda one, other: pearson(without(one.change, one.before), without(other.change, other.before)),
        CORRELATION,
    ),
    "size": (size, NOT_NEGATIVE),
}
"""The statistics of two runs, [1 + B] each, with their least and largest value; NaN if one run has not changed."""


def key_of(pair: Pair) -> tuple[Any, ...]:
    """The key of a pair in the table."""
    one, other = pair.one.run, pair.other.run
    return (one.model, pair.differ_in, one.group, one.task, one.seed, other.group, other.task, other.seed)
