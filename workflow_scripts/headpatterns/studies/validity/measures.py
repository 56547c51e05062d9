"""Do the patterns say which heads matter? Activation patterns held against what ablating heads does to the loss.

The pattern of a head on a sample is a first-order estimate. Scale the head's output o by 1 − ε: the loss changes at the
rate −Σ <o, ∂L/∂o>, whose magnitude is the reduction `abs_of_sum`. Followed to ε = 1, that line estimates the loss
without the head; whether well, for a step that is not small, is a question of fact. Here the step is made: heads are
ablated (their output times 0), one by one and several at once, and the change of the loss of each sample is the truth
that patterns are to predict. Two questions are asked, each before and after fine-tuning:

- Of single heads, does a larger pattern go with a larger change? Spearman's rank correlation over the heads
  (`correlations`), once over all heads of the model and once within its layers: the scale of patterns and changes
  differs from layer to layer, so that heads may seem well ranked where only their layers are.
- Of groups of heads, does ablating those with the largest patterns cost more than ablating as many random ones, and
  ablating those with the smallest patterns less? Curves over the size of the group (`curves`), and one number of each
  (`contrasts`).

Michel et al. (2019), Are sixteen heads really better than one?, did alike. They ablated every head alone and tested
whether the score changed; they ranked heads by the mean magnitude of ∂L/∂ξ, ξ a factor of the head's output (in their
code summed position by position, `abs_per_position`), divided by the Euclidean norm over the heads of a layer, so that
no layer wins by its scale; and they removed more and more heads from the smallest on and drew the score over the share
of heads removed. Here the scale of layers is left in, as the patterns have it, and the correlation within layers says
what is left without it; rank correlations, random groups and intervals say how much of it is more than chance.

Patterns are taken on some samples of the probe set and changes of the loss on others. On the same samples both would
share their sampling noise (a sample on which a head happens to matter has a large pattern and a large change), and even
heads that are all alike would seem well ranked.

Intervals are bootstrap intervals over samples: both sets are resampled, independently of each other, on the same draws
in both phases. Noise on both sides makes a correlation smaller than that of endless samples; correlations, their means
and their differences are debiased for it (`statistics.bootstrap`), so that they do not change with fine-tuning merely
because patterns or changes become more or less noisy. That takes most of the bias off, not all: in simulation with 24
samples, whose plain correlations of 0.8 lie one standard error too low, intervals cover the value of endless samples in
89 % and a difference that is none in 91 %. The plain value stands beside each. Changes of the loss are means, which
resampling does not bias. No interval covers which heads are chosen into groups, by patterns or by chance.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from typing import TypeVar, final

import numpy as np
from scipy.integrate import trapezoid

from headpatterns.attribution.patterns import REDUCTIONS
from headpatterns.statistics import probe_weights, replicate_patterns, spearman, spearman_within_layers
from headpatterns.studies.validity.ablations import Ablation

DIFFERENCE = "after_minus_before"
ALL_HEADS, WITHIN_LAYERS = "all_heads", "within_layers"
ABSOLUTE, SIGNED = "absolute", "signed"
TOP, BOTTOM, RANDOM = "top", "bottom", "random"
ALL = "*"
"""Stands where a task or seed would in the rows of means over all tasks or seeds; no task is called so."""

State = tuple[str, str, str, str]
"""Model, task, training seed and phase."""

Kind = tuple[str, ...]
"""What tells a number from the others of its run and phase, such as reduction, change and what it is taken over."""


@dataclass(frozen=True)
class Weights:
    """Of the samples in the estimate (row 0) and in B bootstrap replicates; every row sums to 1.

    Attributes:
        patterns: [1 + B, M].
        changes: [1 + B, N], drawn independently.
    """

    patterns: np.ndarray
    changes: np.ndarray


@final
@dataclass(frozen=True)
class Curve:
    """The mean change of the loss over the size of the ablated group.

    Attributes:
        change: [1 + B, K], the estimate and its replicates over samples, in nats; of random groups the mean over draws.
        draws: [draws, K], the estimates of the single draws; [0, K] where nothing is drawn.
    """

    change: np.ndarray
    draws: np.ndarray

    @property
    def spread(self) -> np.ndarray:
        """The standard deviation (ddof 1) of the draws, [K]; NaN of less than two."""
        if len(self.draws) < 2:
            return np.full(self.draws.shape[1], np.nan)
        spread: np.ndarray = self.draws.std(axis=0, ddof=1)
        return spread


@final
@dataclass(frozen=True)
class Contrast:
    """One number of two curves.

    Attributes:
        value: [1 + B], the mean difference between the curves in nats, over log k; NaN without a size to compare.
        ranking: [], the estimate of the ranking's own mean over log k, signed so that more is better.
        draws: [draws], the same of every random draw.
    """

    value: np.ndarray
    ranking: np.ndarray
    draws: np.ndarray

    @property
    def exceeds(self) -> float:
        """Share of the random draws than which the ranking does better; NaN without a size to compare."""
        return float(np.mean(self.ranking > self.draws)) if np.isfinite(self.ranking) else np.nan


Measure = TypeVar("Measure", np.ndarray, Curve, Contrast)


def weights_of(found: Ablation, task: str, resamples: int, seed: int) -> Weights:
    """The bootstrap of a run's samples, which depends on the task but not on the phase or training seed.

    Raises:
        InputError: as `probe_weights` does.
    """
    return Weights(
        probe_weights(len(found.pattern_ids), f"{task}/patterns", resamples, seed),
        probe_weights(len(found.ids), task, resamples, seed),
    )


def with_means(
    measured: Mapping[State, Mapping[Kind, Measure]],
) -> dict[State, Mapping[Kind, Measure]]:
    """What was measured of every run, then the means over the seeds of each task and over the tasks of each model.

    Means are taken replicate by replicate and draw by draw, so that their intervals and spreads are those of a mean:
    the seeds of a task share samples and bootstrap draws, and tasks have independent ones. A mean is NaN where any of
    its parts is. `ALL` stands for the seed, or for task and seed, of a mean.
    """
    of_tasks = _averaged(measured, lambda model, task, seed, phase: (model, task, ALL, phase))
    of_models = _averaged(of_tasks, lambda model, task, seed, phase: (model, ALL, ALL, phase))
    return {**measured, **of_tasks, **of_models}


def _averaged(
    measured: Mapping[State, Mapping[Kind, Measure]], group: Callable[..., State]
) -> dict[State, Mapping[Kind, Measure]]:
    parts: dict[State, list[Mapping[Kind, Measure]]] = {}
    for state, by_kind in measured.items():
        parts.setdefault(group(*state), []).append(by_kind)
    return {state: {of: _mean([part[of] for part in every]) for of in every[0]} for state, every in parts.items()}


def _mean(parts: Sequence[Measure]) -> Measure:
    """The mean of arrays, or of curves or contrasts field by field."""
    first = parts[0]
    if isinstance(first, np.ndarray):
        mean: Measure = np.mean(parts, axis=0)
        return mean
    return type(first)(*(np.mean([getattr(part, field.name) for part in parts], axis=0) for field in fields(first)))


def changes_of(losses: np.ndarray) -> dict[str, np.ndarray]:
    """Changes of the loss of each sample in the two ways in which their mean is taken, `absolute` and `signed`."""
    return {ABSOLUTE: np.abs(losses), SIGNED: losses}


OVER = {ALL_HEADS: spearman, WITHIN_LAYERS: spearman_within_layers}


def correlations(found: Ablation, weights: Weights) -> dict[Kind, np.ndarray]:
    """Spearman's correlation between patterns and changes of the loss, both means over their own samples.

    The change of a head is taken in two ways: `absolute`, mean_n |change_n|, which `abs_of_sum` estimates and in which
    a head counts that helps some samples and hurts others; and `signed`, mean_n change_n, what ablating it costs on
    average.

    Args:
        found: one phase.
        weights: of `weights_of`.

    Returns:
        [1 + B] by reduction, change (`absolute`, `signed`) and what it is taken over (`OVER`).
    """
    patterns = _mean_patterns(found, weights)
    changes = {name: replicate_patterns(taken, weights.changes) for name, taken in changes_of(found.changes).items()}
    return {
        (reduction, change, over): statistic(pattern, changed)
        for reduction, pattern in patterns.items()
        for change, changed in changes.items()
        for over, statistic in OVER.items()
    }


def between_reductions(found: Ablation, weights: Weights) -> dict[Kind, np.ndarray]:
    """Spearman's correlation between the patterns of every two reductions: [1 + B] by both and by `OVER`.

    The losses have no part in it: the samples of the patterns alone are resampled.
    """
    patterns = _mean_patterns(found, weights)
    return {
        (a, b, over): statistic(patterns[a], patterns[b])
        for a, b in combinations(REDUCTIONS, 2)
        for over, statistic in OVER.items()
    }


def _mean_patterns(found: Ablation, weights: Weights) -> dict[str, np.ndarray]:
    """Means over samples, [1 + B, L, H] by reduction."""
    by_reduction = zip(REDUCTIONS, found.patterns, strict=True)
    return {reduction: replicate_patterns(samples, weights.patterns) for reduction, samples in by_reduction}


def curves(found: Ablation, weights: Weights) -> dict[Kind, Curve]:
    """The mean change of the loss over the size of the group.

    Returns:
        By change, as in `correlations`, and ranking: `top`, the heads with the largest patterns, `bottom`, `random`.
    """
    made: dict[Kind, Curve] = {}
    nothing = np.empty((0, len(found.top)))
    for change, groups in changes_of(found.groups).items():
        top, bottom, draws = _means_of_groups(groups, weights)
        made[change, TOP] = Curve(top, nothing)
        made[change, BOTTOM] = Curve(bottom, nothing)
        made[change, RANDOM] = Curve(draws.mean(axis=0), draws[:, 0])
    return made


def contrasts(found: Ablation, weights: Weights) -> dict[Kind, Contrast]:
    """One number of the curves: how much more than random heads the top heads cost, and how much less the bottom ones.

    `top_minus_random` is the area between both curves over log k, divided by its width: the mean difference in nats
    with every doubling of the group counting alike. On a linear axis the largest groups would decide, which leave of
    a model so little that all rankings meet. A group of all heads is left out, as it is the same for every ranking; a
    single size gives its difference, and none NaN. A positive number says that ablating the heads with the largest
    patterns costs more than ablating random heads does, on these samples and against these draws.
    `random_minus_bottom` is the same of the bottom heads. Patterns are magnitudes, and heads whose ablation lowers the
    loss may have large ones, which the absolute change counts for them and the signed one against them.

    The interval is over samples, for the mean over draws; it holds the chosen groups and the draws fixed. Whether a
    ranking could be one more random draw is another question, and `Contrast.exceeds` answers it: the share of the draws
    whose own area is smaller (for `bottom` larger). With D draws a random ranking is beyond all of them with
    probability 1 / (1 + D).

    Returns:
        By change, as in `correlations`, and contrast.
    """
    partial = found.shares < 1
    sizes = found.top[partial]
    made: dict[Kind, Contrast] = {}
    for change, groups in changes_of(found.groups[:, partial]).items():
        top, bottom, draws = (_mean_over_doublings(curve, sizes) for curve in _means_of_groups(groups, weights))
        mean = draws.mean(axis=0)
        made[change, "top_minus_random"] = Contrast(top - mean, top[0], draws[:, 0])
        made[change, "random_minus_bottom"] = Contrast(mean - bottom, -bottom[0], -draws[:, 0])
    return made


def _means_of_groups(groups: np.ndarray, weights: Weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean changes over samples of top [1 + B, K], bottom [1 + B, K] and the draws [draws, 1 + B, K]."""
    means = np.einsum("bn,rkn->rbk", weights.changes, groups)
    return means[0], means[1], means[2:]


def _mean_over_doublings(change: np.ndarray, top: np.ndarray) -> np.ndarray:
    """The mean of curves [..., K] over log k, by the trapezoidal rule: [...]; NaN without a size."""
    if len(top) == 0:
        return np.full(change.shape[:-1], np.nan)
    if len(top) == 1:
        return change[..., 0]
    place = np.log(top)
    mean: np.ndarray = trapezoid(change, place, axis=-1) / (place[-1] - place[0])
    return mean
