"""Shares of right answers: variants compared on the same draws of items.

Two intervals, for two questions. `headpatterns.evaluation.intervals.wilson` is that of a single evaluation, from its
two counts alone. What is compared with each other, or averaged over runs, is resampled instead: a replicate draws the
items of an evaluation set with replacement, one draw for every model, variant and run, so that a difference is paired
over items and free of what they have in common. Neither interval covers the training seed; the spread over runs stands
beside it.

As in `bootstrap`, an array of replicates [1 + B] carries the estimate at index 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

# The same sum of shares taken in another order differs by less than this, and a real difference by much more: without
# rounding, two variants that are equally good could be told apart.
DECIMALS = 12


@dataclass(frozen=True)
class Outcome:
    """What the runs of one variant got right in one evaluation set.

    Attributes:
        runs: [runs], their names; a base model stands there once for each seed.
        seeds: [runs], the training seed of each.
        correct: [runs, items] in the order of `runs`, 1 where the answer is right, else 0.
        weights: [1 + B, items], of `probe_weights`, the same for every outcome on this set.
    """

    runs: tuple[str, ...]
    seeds: tuple[str, ...]
    correct: Float[np.ndarray, "runs items"]
    weights: Float[np.ndarray, "replicates items"]

    @property
    def items(self) -> int:
        """How many items the set has."""
        return int(self.correct.shape[1])

    def of_items(self) -> Float[np.ndarray, " items"]:
        """How often each item was answered rightly, [items]: the mean over the draws of a seed, then over seeds."""
        seeds = np.array(self.seeds)
        by_seed = [self.correct[seeds == seed].mean(axis=0) for seed in dict.fromkeys(self.seeds)]
        return np.asarray(np.mean(by_seed, axis=0))


def by_seed(outcome: Outcome) -> list[Float[np.ndarray, "runs replicates"]]:
    """Accuracies [runs, 1 + B] of each seed in the order of seeds; several runs of a seed are its random draws."""
    seeds = np.array(outcome.seeds)
    return [
        np.round(outcome.correct[seeds == seed] @ outcome.weights.T, DECIMALS) for seed in dict.fromkeys(outcome.seeds)
    ]


def accuracy(outcomes: Sequence[Outcome]) -> Float[np.ndarray, " replicates"]:
    """Accuracy [1 + B] of a variant, the mean over the sets of `outcomes`, which count alike whatever their size."""
    return _mean([outcome.weights @ outcome.of_items() for outcome in outcomes])


def difference(better: Sequence[Outcome], worse: Sequence[Outcome]) -> Float[np.ndarray, " replicates"]:
    """Accuracy of one variant minus that of another [1 + B], item by item on the same sets in the same order."""
    return _mean([a.weights @ (a.of_items() - b.of_items()) for a, b in zip(better, worse, strict=True)])


def spread(outcomes: Sequence[Outcome]) -> float:
    """Standard deviation (ddof 1) over runs of the accuracy, the mean over sets; NaN with a single run.

    Args:
        outcomes: one a set, with the same seeds and draws in the same order. A run that stands for several seeds, as a
            base model does, is one run.
    """
    means = np.mean([outcome.correct.mean(axis=1) for outcome in outcomes], axis=0)
    by_run = dict(zip(zip(*(outcome.runs for outcome in outcomes), strict=True), means, strict=True))
    return float(np.std(list(by_run.values()), ddof=1)) if len(by_run) > 1 else float("nan")


def _mean(replicates: Sequence[Float[np.ndarray, " replicates"]]) -> Float[np.ndarray, " replicates"]:
    return np.round(np.asarray(np.mean(replicates, axis=0)), DECIMALS)
