"""Do the patterns say which heads matter? Activation patterns are compared with the effect of ablation on the loss.

The pattern of a head on a sample is a first-order estimate. If the head's output o is scaled by 1 − ε, the loss changes
at the rate −Σ <o, ∂L/∂o>, whose magnitude is the reduction `abs_of_sum`. Extended to ε = 1, this line estimates the
loss without the head. This step is not small, so the quality of the estimate must be measured. Here heads are ablated
(their output times 0), one by one and several at once. The change of the loss of each sample is the truth that patterns
should predict. There are two questions, each before and after fine-tuning:

- Single heads: does a larger pattern go with a larger change? Spearman's rank correlation over the heads
  (`correlations`) is taken over all heads of the model and within its layers. The scale of patterns and changes differs
  between layers, so heads may seem well ranked where only their layers are.
- Groups of heads: does ablating the heads with the largest patterns cost more than ablating as many random heads, and
  ablating the heads with the smallest patterns less? There are curves over the size of the group (`curves`), and one
  number for each (`contrasts`).

Michel et al. (2019), Are sixteen heads really better than one?, used a similar method. They ablated every head alone
and tested whether the score changed. They ranked heads by the mean magnitude of ∂L/∂ξ, where ξ is a factor of the
head's output (in their code summed position by position, `abs_per_position`). They divided it by the Euclidean norm
over the heads of a layer, so that no layer wins by its scale. Then they removed more and more heads, starting from the
smallest, and plotted the score over the share of removed heads. Here patterns keep the scale of their layers, and the
correlation within layers shows the result without it. Rank correlations, random groups and intervals show how much of
the result exceeds chance.

Patterns are taken on some samples of the probe set and changes of the loss on others. On the same samples both would
share their sampling noise (a sample on which a head happens to matter has a large pattern and a large change), and even
identical heads would seem well ranked.

Intervals are bootstrap intervals over samples: both sets are resampled independently of each other, with the same draws
in both phases. Noise on both sides makes a correlation smaller than its value for infinitely many samples.
Correlations, their means and their differences are debiased for this (`statistics.bootstrap`), so fine-tuning does not
change them only because patterns or changes become more or less noisy. Debiasing removes most of the bias, not all. In
a simulation with 24 samples, plain correlations of 0.8 are one standard error too low. There, intervals cover the value
for infinitely many samples in 89 % of cases, and a zero difference in 91 %. The tables also have the plain values.
Changes of the loss are means, which resampling does not bias. No interval covers the choice of heads for groups, by
patterns or by chance.
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
"""Stands for a task or seed in rows of means over all tasks or seeds; no task has this name."""

State = tuple[str, str, str, str]
"""Model, task, training seed and phase."""

Kind = tuple[str, ...]
"""The key of a number within its run and phase, such as reduction, change and what it is taken over."""


@dataclass(frozen=True)
class Weights:
    """Weights of the samples in the estimate (row 0) and in B bootstrap replicates; every row sums to 1.

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
        change: [1 + B, K], estimate and replicates over samples, in nats; for random groups the mean over draws.
        draws: [draws, K], the estimates of the single draws; [0, K] without random draws.
    """

    change: np.ndarray
    draws: np.ndarray

    @property
    def spread(self) -> np.ndarray:
        """The standard deviation (ddof 1) of the draws, [K]; NaN for fewer than two draws."""
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
        """Share of the random draws that the ranking exceeds; NaN without a size to compare."""
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
    """The measurements of every run, then the means over the seeds of each task and over the tasks of each model.

    Means are taken replicate by replicate and draw by draw, so their intervals and spreads describe a mean. The seeds
    of a task share samples and bootstrap draws; those of different tasks are independent. A mean is NaN if any of its
    parts is NaN. `ALL` stands for the seed, or for task and seed, of a mean.
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

    The change of a head is taken in two ways. `absolute` is mean_n |change_n|, which `abs_of_sum` estimates; here a
    head that helps some samples and hurts others counts. `signed` is mean_n change_n, the average cost of ablating it.

    Args:
        found: one phase.
        weights: the result of `weights_of`.

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

    Losses are not used, so only the samples of the patterns are resampled.
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
    """One number per contrast of curves: how much more top heads cost than random heads, and how much less bottom ones.

    `top_minus_random` is the area between both curves over log k, divided by its width. It is the mean difference in
    nats, with equal weight for every doubling of the group. On a linear axis the largest groups would dominate; they
    leave so little of a model that all rankings meet. A group of all heads is left out, as it is the same for every
    ranking. With a single size the number is its difference, with no size NaN. A positive number says that ablating the
    heads with the largest patterns costs more than ablating random heads, on these samples and against these draws.
    `random_minus_bottom` is the same for the bottom heads. Patterns are magnitudes. Heads whose ablation lowers the
    loss may have large patterns; the absolute change counts in favour of these patterns, the signed change against.

    The interval is over samples, for the mean over draws; it holds the chosen groups and the draws fixed.
    `Contrast.exceeds` answers another question: could the ranking be one more random draw? It is the share of the draws
    whose own area is smaller (for `bottom` larger). With D draws a random ranking exceeds all of them with probability
    1 / (1 + D).

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
