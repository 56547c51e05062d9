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

The same samples give the patterns, which rank the heads, and the changes. No change has a part in the ranking, so this
is no circle, but it says how well patterns explain these samples rather than others. Intervals are over samples as in
`statistics.bootstrap`, on the same draws in both phases. The groups stay those of the samples themselves: the intervals
of curves do not cover which heads are chosen.
"""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.integrate import trapezoid
from scipy.stats import rankdata

from headpatterns.errors import InputError
from headpatterns.files import read_json
from headpatterns.statistics import is_constant, pearson, replicate_patterns
from headpatterns.statistics.distribution import flat

PHASES = ("before", "after")
REDUCTIONS = ("abs_of_sum", "sum_of_abs", "abs_per_position")
"""The order in which ablate_heads stores the patterns."""
ALL_HEADS, WITHIN_LAYERS = "all_heads", "within_layers"
ABSOLUTE, SIGNED = "absolute", "signed"
TOP, BOTTOM, RANDOM = "top", "bottom", "random"


@dataclass(frozen=True)
class Ablation:
    """What ablating the heads of one model did on the samples of one task.

    Attributes:
        ids: [N], the samples.
        changes: [N, L, H], loss of a sample with one head ablated minus its loss without ablation.
        patterns: [3, N, L, H], in the order of `REDUCTIONS`.
        groups: [2 + draws, K, N], the same for groups of heads: those with the largest patterns, with the smallest,
            and random ones, the draws nested in k.
        top: [K], the number k of heads in a group, ascending.
        reduction: that of the patterns by which the groups are chosen.
    """

    ids: list[str]
    changes: np.ndarray
    patterns: np.ndarray
    groups: np.ndarray
    top: np.ndarray
    reduction: str

    @property
    def shares(self) -> np.ndarray:
        """The share of the model's heads in a group, [K]."""
        return self.top / self.changes[0].size


@dataclass(frozen=True)
class Curve:
    """The mean change of the loss over the size of the ablated group.

    Attributes:
        change: [1 + B, K], the estimate and its replicates over samples, in nats; of random groups the mean over draws.
        spread: [K], the standard deviation (ddof 1) over draws of the estimate; NaN with one draw or without draws.
    """

    change: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Contrast:
    """One number of two curves.

    Attributes:
        value: [1 + B], the mean difference between the curves in nats, over log k.
        exceeds: share of the random draws than which the ranking does better.
    """

    value: np.ndarray
    exceeds: float


def read(folder: Path, phase: str) -> Ablation:
    """What ablate_heads wrote into `folder` about a phase, `before` or `after`.

    Raises:
        InputError: a file is missing or damaged, arrays do not fit each other, or a number is not finite.
    """
    about = folder / f"{phase}.json"
    try:
        content = read_json(about)
        ids, top, reduction = list(content["ids"]), np.array(content["top"], dtype=int), str(content["reduction"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{about} does not say what was ablated ({error!r}): remove {folder} and make it again."
        ) from error
    changes, patterns, groups = (_load(folder / f"{phase}.{name}.npy") for name in ("changes", "patterns", "groups"))
    fitting = (
        changes.ndim == 3
        and len(changes) == len(ids) > 0
        and patterns.shape == (len(REDUCTIONS), *changes.shape)
        and groups.ndim == 3
        and len(groups) > 2
        and groups.shape[1:] == (len(top), len(ids))
        and len(top) > 0
        and reduction in REDUCTIONS
    )
    if not fitting:
        raise InputError(
            f"{folder}: the files of phase {phase!r} do not fit each other ({len(ids)} samples, {len(top)} sizes of "
            f"groups by {reduction}, changes {changes.shape}, patterns {patterns.shape}, groups {groups.shape}): "
            "remove the folder and make it again."
        )
    order = np.argsort(top)
    return Ablation(ids, changes, patterns, groups[:, order], top[order], reduction)


def _load(path: Path) -> np.ndarray:
    try:
        array = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path} is no complete NumPy array ({error}): remove its folder and make it again."
        ) from error
    if not np.isfinite(array).all():
        raise InputError(f"{path} holds a number that is not finite: ablate the heads again in a wider number format.")
    return array.astype(np.float64)


def read_both(folder: Path) -> dict[str, Ablation]:
    """Both phases of a run, which are comparable.

    Raises:
        InputError: as `read` does, or the phases differ in samples, heads, groups or reduction.
    """
    found = {phase: read(folder, phase) for phase in PHASES}
    before, after = found.values()
    if (
        before.ids != after.ids
        or before.changes.shape != after.changes.shape
        or before.groups.shape != after.groups.shape
        or (before.top != after.top).any()
        or before.reduction != after.reduction
    ):
        raise InputError(
            f"{folder}: before and after were not ablated alike (samples, heads, groups or reduction differ): remove "
            "the folder and make it again."
        )
    return found


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of the flattened layers × heads values: [..., layers, heads] twice to [...].

    Equal values share the mean of their ranks. NaN where all values of one side are the same up to rounding.
    """
    a, b = flat(a), flat(b)
    found = pearson(rankdata(a, axis=-1)[..., None, :], rankdata(b, axis=-1)[..., None, :])
    return np.where(is_constant(a) | is_constant(b), np.nan, found)


def spearman_within_layers(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean over layers of Spearman's correlation over the heads of a layer: [1 + B, layers, heads] twice to [1 + B].

    Layers in which it does not exist for the estimate (index 0) are left out, and the mean is NaN where there is none:
    of models with one head in a layer, say.
    """
    by_layer = spearman(a[..., None, :], b[..., None, :])
    defined = ~np.isnan(by_layer[0])
    return by_layer[:, defined].mean(axis=1) if defined.any() else np.full(len(by_layer), np.nan)


def changes_of(losses: np.ndarray) -> dict[str, np.ndarray]:
    """Changes of the loss of each sample in the two ways in which their mean is taken, `absolute` and `signed`."""
    return {ABSOLUTE: np.abs(losses), SIGNED: losses}


OVER = {ALL_HEADS: spearman, WITHIN_LAYERS: spearman_within_layers}


def correlations(found: Ablation, weights: np.ndarray) -> dict[tuple[str, str, str], np.ndarray]:
    """Spearman's correlation between patterns and changes of the loss, both means over samples.

    The change of a head is taken in two ways: `absolute`, mean_n |change_n|, which `abs_of_sum` estimates and in which
    a head counts that helps some samples and hurts others; and `signed`, mean_n change_n, what ablating it costs on
    average.

    Args:
        found: one phase.
        weights: [1 + B, N], of `probe_weights`.

    Returns:
        [1 + B] by reduction, change (`absolute`, `signed`) and what it is taken over (`OVER`).
    """
    patterns = _mean_patterns(found, weights)
    changes = {name: replicate_patterns(taken, weights) for name, taken in changes_of(found.changes).items()}
    return {
        (reduction, change, over): statistic(pattern, changed)
        for reduction, pattern in patterns.items()
        for change, changed in changes.items()
        for over, statistic in OVER.items()
    }


def between_reductions(found: Ablation, weights: np.ndarray) -> dict[tuple[str, str, str], np.ndarray]:
    """Spearman's correlation between the patterns of every two reductions: [1 + B] by both and by `OVER`."""
    patterns = _mean_patterns(found, weights)
    return {
        (a, b, over): statistic(patterns[a], patterns[b])
        for a, b in combinations(REDUCTIONS, 2)
        for over, statistic in OVER.items()
    }


def _mean_patterns(found: Ablation, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Means over samples, [1 + B, L, H] by reduction."""
    by_reduction = zip(REDUCTIONS, found.patterns, strict=True)
    return {reduction: replicate_patterns(samples, weights) for reduction, samples in by_reduction}


def curves(found: Ablation, weights: np.ndarray) -> dict[tuple[str, str], Curve]:
    """The mean change of the loss over the size of the group.

    Returns:
        By change, as in `correlations`, and ranking: `top`, the heads with the largest patterns, `bottom`, `random`.
    """
    made = {}
    none = np.full(len(found.top), np.nan)
    for change, groups in changes_of(found.groups).items():
        top, bottom, draws = _means_of_groups(groups, weights)
        spread = draws[:, 0].std(axis=0, ddof=1) if len(draws) > 1 else none
        made[change, TOP] = Curve(top, none)
        made[change, BOTTOM] = Curve(bottom, none)
        made[change, RANDOM] = Curve(draws.mean(axis=0), spread)
    return made


def contrasts(found: Ablation, weights: np.ndarray) -> dict[tuple[str, str], Contrast]:
    """One number of the curves: how much more than random heads the top heads cost, and how much less the bottom ones.

    `top_minus_random` is the area between both curves over log k, divided by its width: the mean difference in nats
    with every doubling of the group counting alike. On a linear axis the largest groups would decide, which leave of
    a model so little that all rankings meet; where a group takes all heads the difference is 0. A single size of groups
    gives its difference. A positive number says that patterns rank heads better than chance. `random_minus_bottom` is
    the same of the bottom heads. Patterns are magnitudes, and heads whose ablation lowers the loss may have large ones,
    which the absolute change counts for them and the signed one against them.

    The interval is over samples, for the mean over draws. Whether a ranking could be one more random draw is another
    question, and `exceeds` answers it: the share of the draws whose own area is smaller (for `bottom` larger). With D
    draws a random ranking is beyond all of them with probability 1 / (1 + D).

    Returns:
        By change, as in `correlations`, and contrast.
    """
    made = {}
    for change, groups in changes_of(found.groups).items():
        top, bottom, draws = (_mean_over_doublings(curve, found.top) for curve in _means_of_groups(groups, weights))
        mean = draws.mean(axis=0)
        made[change, "top_minus_random"] = Contrast(top - mean, float(np.mean(top[0] > draws[:, 0])))
        made[change, "random_minus_bottom"] = Contrast(mean - bottom, float(np.mean(bottom[0] < draws[:, 0])))
    return made


def _means_of_groups(groups: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean changes over samples of top [1 + B, K], bottom [1 + B, K] and the draws [draws, 1 + B, K]."""
    means = np.einsum("bn,rkn->rbk", weights, groups)
    return means[0], means[1], means[2:]


def _mean_over_doublings(change: np.ndarray, top: np.ndarray) -> np.ndarray:
    """The mean of curves [..., K] over log k, by the trapezoidal rule: [...]."""
    if len(top) == 1:
        return change[..., 0]
    place = np.log(top)
    return trapezoid(change, place, axis=-1) / (place[-1] - place[0])
