"""Correct answers and losses of gold answers: variants compared on the same draws of items.

There are two intervals. `headpatterns.evaluation.intervals.wilson` is the interval of a single evaluation, from its two
counts alone. Values that are compared with each other, or averaged over runs, are resampled instead. A replicate draws
the items of an evaluation set with replacement, with one draw for all models, variants and runs. So a difference is
paired over items, and their common variation cancels. Neither interval covers the training seed. Tables also show the
spread over runs, and the error term of `gain` includes the seeds or, with a single seed, the random draws.

An item's value is 1 or 0 for a correct or wrong answer, or the negative log-likelihood of its gold answer per token.
For the latter less is better, and every comparison reverses the sign: a gain is above 0 for both.

As in `bootstrap`, an array of replicates [1 + B] has the estimate at index 0.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from headpatterns.statistics.bootstrap import NOT_NEGATIVE, SHARE, UNLIMITED, Limits
from headpatterns.statistics.draws import rank_p
from headpatterns.statistics.effects import DRAWS, ITEMS, Component, Effect, effect

# The same sum of values in another order differs by less than this, and a real difference is much larger. Without this
# rounding, two equally good variants could seem different.
DECIMALS = 12

RANK_COLUMNS = ("seed", "draws", "value", "draws_mean", "rank", "p_value")
"""Columns of the tables that rank a variant among random draws."""


@dataclass(frozen=True)
class Measure:
    """A measure of answers.

    Attributes:
        name: its name in the tables.
        sign: 1 if more is better, -1 if less is.
        limits: least and largest value of a mean.
        gains: least and largest difference between two means.
    """

    name: str
    sign: int
    limits: Limits
    gains: Limits


ACCURACY = Measure("accuracy", 1, SHARE, (-1.0, 1.0))
NLL = Measure("nll", -1, NOT_NEGATIVE, UNLIMITED)
"""The negative log-likelihood of the gold answer, in nats per token."""


@dataclass(frozen=True)
class Outcome:
    """The results of the runs of one variant on the items of one evaluation set.

    Attributes:
        runs: [runs], their names; a base model is listed once for each seed that starts from it.
        seeds: [runs], the training seed of each.
        values: [runs, items] in the order of `runs`: 1 for a correct answer and 0 otherwise, or nats per token.
        weights: [1 + B, items], of `probe_weights`, the same for every outcome on this set.
        measure: the measure of the values.
    """

    runs: tuple[str, ...]
    seeds: tuple[str, ...]
    values: Float[np.ndarray, "runs items"]
    weights: Float[np.ndarray, "replicates items"]
    measure: Measure = ACCURACY

    @property
    def items(self) -> int:
        """The number of items of the set."""
        return int(self.values.shape[1])

    def of_items(self) -> Float[np.ndarray, " items"]:
        """The value of each item, [items]: the mean over the draws of a seed, then over seeds."""
        seeds = np.array(self.seeds)
        by_seed = [self.values[seeds == seed].mean(axis=0) for seed in dict.fromkeys(self.seeds)]
        return np.asarray(np.mean(by_seed, axis=0))


def by_seed(outcome: Outcome) -> list[Float[np.ndarray, "runs replicates"]]:
    """Means [runs, 1 + B] of each seed in the order of seeds; several runs of a seed are its random draws."""
    seeds = np.array(outcome.seeds)
    return [
        np.round(outcome.values[seeds == seed] @ outcome.weights.T, DECIMALS) for seed in dict.fromkeys(outcome.seeds)
    ]


def mean(outcomes: Sequence[Outcome]) -> Float[np.ndarray, " replicates"]:
    """Mean [1 + B] of a variant over items, then over the sets of `outcomes`, with equal weights for all sets."""
    return _mean([outcome.weights @ outcome.of_items() for outcome in outcomes])


def difference(better: Sequence[Outcome], worse: Sequence[Outcome]) -> Float[np.ndarray, " replicates"]:
    """The gain of one variant over another [1 + B], item by item on the same sets in the same order."""
    return _mean(
        [a.weights @ gained(a.measure, a.of_items(), b.of_items()) for a, b in zip(better, worse, strict=True)]
    )


def gained(
    measure: Measure, better: Float[np.ndarray, "*values"], worse: Float[np.ndarray, "*values"]
) -> Float[np.ndarray, "*values"]:
    """The gain of the first over the second, above 0 if the first is better."""
    return np.asarray(better - worse if measure.sign > 0 else worse - better)


def spread(outcomes: Sequence[Outcome]) -> float:
    """Standard deviation (ddof 1) over runs of the mean over items and sets; NaN with a single run.

    Args:
        outcomes: one per set, with the same seeds and draws in the same order. A run that several seeds share, such as
            a base model, counts once.
    """
    return _deviation({run: value for (_, run), value in of_runs(outcomes).items()}.values())


def spread_of_gain(better: Sequence[Outcome], worse: Sequence[Outcome]) -> float:
    """Standard deviation (ddof 1) of the gain over pairs of runs with the same seed; NaN with a single pair.

    Args:
        better: outcomes of the one variant, one per set.
        worse: outcomes of the other on the same sets in the same order.
    """
    own, others = of_runs(better), of_runs(worse)
    gains = {
        (run, other): value - other_value
        for (seed, run), value in own.items()
        for (other_seed, other), other_value in others.items()
        if seed == other_seed
    }
    return _deviation(gains.values())


def of_runs(outcomes: Sequence[Outcome]) -> dict[tuple[str, tuple[str, ...]], float]:
    """The mean over items and sets of each run, by its seed and its names in the sets."""
    means = np.mean([outcome.values.mean(axis=1) for outcome in outcomes], axis=0)
    runs = zip(*(outcome.runs for outcome in outcomes), strict=True)
    return {(seed, run): float(value) for seed, run, value in zip(outcomes[0].seeds, runs, means, strict=True)}


def _deviation(values: Collection[float]) -> float:
    return float(np.std(list(values), ddof=1)) if len(values) > 1 else float("nan")


@dataclass(frozen=True)
class Ranked:
    """A variant among the random draws of a training seed.

    Attributes:
        seed: the training seed.
        draws: number of random draws.
        value: the variant's mean over items and sets.
        mean: the mean of the draws.
        better: number of draws that are better.
        equal: number of draws that are equally good.
    """

    seed: str
    draws: int
    value: float
    mean: float
    better: int
    equal: int

    @property
    def rank(self) -> float:
        """1 + the number of draws that are better; equally good draws share their ranks."""
        return 1 + self.better + self.equal / 2

    @property
    def p_value(self) -> float:
        """(1 + number of draws that are at least as good) / (1 + draws).

        It is the probability of a rank at least as good if the variant is one more draw.
        """
        return (1 + self.better + self.equal) / (1 + self.draws)

    @property
    def row(self) -> tuple[Any, ...]:
        """Values of `RANK_COLUMNS`."""
        return self.seed, self.draws, self.value, self.mean, self.rank, self.p_value


def ranked(chosen: Sequence[Outcome], drawn: Sequence[Outcome]) -> list[Ranked]:
    """The rank of a variant among random draws, for each training seed.

    Args:
        chosen: the variant's outcomes, one per set.
        drawn: outcomes of the random draws on the same sets, with the same seeds and the same draws in each set.
    """
    found = []
    draws_of, sign = of_seeds(drawn), chosen[0].measure.sign
    for seed, own in of_seeds(chosen).items():
        value, draws = float(own[0]), draws_of[seed]
        better, equal = int(np.count_nonzero(sign * draws > sign * value)), int(np.count_nonzero(draws == value))
        found.append(Ranked(seed, len(draws), value, float(draws.mean()), better, equal))
    return found


def of_seeds(outcomes: Sequence[Outcome]) -> dict[str, Float[np.ndarray, " draws"]]:
    """Means [draws] of each training seed over items and sets; a single one if the variant is not random."""
    means = [by_seed(outcome) for outcome in outcomes]
    seeds = dict.fromkeys(outcomes[0].seeds)
    return {seed: _mean([of_set[place][:, 0] for of_set in means]) for place, seed in enumerate(seeds)}


def gain_over_draws(chosen: Sequence[Outcome], drawn: Sequence[Outcome]) -> Effect:
    """`gain` over random draws, with the exact p-values of its ranks among the draws of each seed (`draws.rank_p`)."""
    own, draws, sign = of_seeds(chosen), of_seeds(drawn), chosen[0].measure.sign
    ranks = rank_p([sign * float(one[0]) for one in own.values()], [sign * draws[seed] for seed in own])
    return replace(gain(chosen, drawn), p_above=ranks.p_above, p_below=ranks.p_below, p_least=ranks.p_least)


def gain(better: Sequence[Outcome], worse: Sequence[Outcome]) -> Effect:
    """The gain of one variant over another, the mean over items, sets and seeds, with its error term.

    Both have the same items, which are resampled for both together. Seeds vary if there are two or more. Each seed
    gives one difference, between means over its draws, so the spread of these differences includes the variation of
    draws. With a single seed, the random draws show how much runs differ: see `of_draws`. Sets are fixed, because the
    claim is about them.

    Args:
        better: outcomes of the one variant, one per set.
        worse: outcomes of the other on the same sets in the same order, with the same seeds.
    """
    own, others, measure = of_seeds(better), of_seeds(worse), better[0].measure
    gains = [measure.sign * float(own[seed].mean() - others[seed].mean()) for seed in own]
    found = effect(difference(better, worse), gains, source=ITEMS, limits=measure.gains)
    if len(gains) > 1:
        return found
    return replace(found, components=(*found.components, *of_draws(better, worse), *of_draws(worse, better)))


def of_draws(drawn: Sequence[Outcome], other: Sequence[Outcome]) -> list[Component]:
    """The share of random draws in the variance of a difference with a single seed; empty with fewer than two draws.

    It is the variance of the mean of the draws. If the other side is one run, the variance of one run is added: the run
    is assumed to vary like one more draw, because nothing else shows how much its number depends on chance. The
    interval then covers the next draw, so a variant that is no better than the draws is rarely called better. Without
    this term, any variant among the better draws would be.
    """
    (draws,) = of_seeds(drawn).values()
    if len(draws) < 2:
        return []
    single = len(other[0].runs) == 1
    return [Component(DRAWS, float(np.var(draws, ddof=1)) * (1 / len(draws) + single), len(draws) - 1)]


def _mean(replicates: Sequence[Float[np.ndarray, "*values"]]) -> Float[np.ndarray, "*values"]:
    return np.round(np.asarray(np.mean(replicates, axis=0)), DECIMALS)
