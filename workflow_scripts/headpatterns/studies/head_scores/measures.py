"""How well a score shows which heads matter, and how well it could: numbers over the heads of one run.

Everything is an array of bootstrap replicates over samples, with the value of the samples themselves first, as in the
study `validity`. Scores and effects come from different samples, which are resampled independently.

There are two kinds of effects: `absolute`, mean_n |change_n|, compared with the magnitude of a score; and `signed`,
mean_n change_n, compared with the score with its sign. For the difference after minus before there is a third, `moved`:
the magnitude of the difference of signed effects, compared with the magnitude of the difference of scores.
"""

from collections.abc import Callable, Mapping

import numpy as np

from headpatterns.attribution import scores as registry
from headpatterns.attribution.scores.score import Score
from headpatterns.statistics import pearson, replicate_patterns, spearman, spearman_within_layers
from headpatterns.studies.head_scores.files import Run, Scored
from headpatterns.studies.validity import measures as validity
from headpatterns.studies.validity.ablations import PHASES
from headpatterns.studies.validity.measures import ABSOLUTE, DIFFERENCE, SIGNED, Weights

MOVED = "moved"
SPEARMAN, WITHIN, RECALL, SLOPE, R2 = MEASURES = ("spearman", "spearman_within_layers", "recall", "slope", "r2")

Kind = tuple[str, ...]
"""Score, ablation, kind of effect, and measure."""

Means = Mapping[tuple[str, str], np.ndarray]
"""Means over samples [1 + B, L, H], by score or ablation and kind."""


def known(run: Run) -> dict[str, Score]:
    """The scores of a run, from the registry."""
    return registry.found(list(dict.fromkeys(name for phase in PHASES for name in run.phases[phase].scores)))


def of_run(run: Run, top: int) -> dict[str, dict[Kind, np.ndarray]]:
    """Every measure of a run, [1 + B] each, by phase; `DIFFERENCE` is after minus before.

    Args:
        run: both phases.
        top: k of the recall.
    """
    described = known(run)
    scores = {phase: means_of_scores(run.phases[phase], run.weights) for phase in PHASES}
    effects = {phase: means_of_effects(run.phases[phase], run.weights) for phase in PHASES}
    before, after = (scores[phase] for phase in PHASES)
    moved = {name: after[name] if one.of_change else after[name] - before[name]
             for name, one in described.items() if name in after and (one.of_change or name in before)}  # fmt: skip
    magnitudes = {name: after[name] if described[name].of_change else np.abs(after[name]) - np.abs(before[name])
                  for name in moved}  # fmt: skip
    found = {
        phase: {
            **_compared({name: np.abs(mean) for name, mean in scores[phase].items()}, effects[phase], ABSOLUTE,
                        described, top),
            **_compared(scores[phase], effects[phase], SIGNED, described, top),
        }
        for phase in PHASES
    }  # fmt: skip
    ways = effects["before"]
    differences = {of: effects["after"][of] - effects["before"][of] for of in ways}
    moved_effects = {(name, MOVED): np.abs(values) for (name, way), values in differences.items() if way == SIGNED}
    found[DIFFERENCE] = {
        **_compared(magnitudes, differences, ABSOLUTE, described, top),
        **_compared(moved, differences, SIGNED, described, top),
        **_compared({name: np.abs(mean) for name, mean in moved.items()}, moved_effects, MOVED, described, top),
    }
    return found


def means_of_scores(phase: Scored, weights: Weights) -> dict[str, np.ndarray]:
    """Means of every score over its samples, [1 + B, L, H]; scores without samples are the same in all replicates."""
    count = len(weights.patterns)
    return {
        name: replicate_patterns(values, weights.patterns)
        if values.ndim == 3
        else np.broadcast_to(values, (count, *values.shape))
        for name, values in phase.scores.items()
    }


def means_of_effects(phase: Scored, weights: Weights) -> dict[tuple[str, str], np.ndarray]:
    """Means of both kinds of effects of every ablation, [1 + B, L, H]."""
    return {
        (name, way): replicate_patterns(take(effects), weights.changes)
        for name, effects in phase.effects.items()
        for way, take in ((ABSOLUTE, np.abs), (SIGNED, np.asarray))
    }


def _compared(
    scores: Mapping[str, np.ndarray], effects: Means, way: str, described: Mapping[str, Score], top: int
) -> dict[Kind, np.ndarray]:
    """Measures of every score against every effect of one kind."""
    found: dict[Kind, np.ndarray] = {}
    for (ablation, taken), effect in effects.items():
        if taken != way:
            continue
        for name, score in scores.items():
            of = (name, ablation, way)
            found[*of, SPEARMAN] = spearman(score, effect)
            found[*of, WITHIN] = spearman_within_layers(score, effect)
            found[*of, RECALL] = recall(score, effect, top)
            if described[name].estimates == way:
                found[*of, SLOPE], found[*of, R2] = line(score, effect)
    return found


def recall(score: np.ndarray, effect: np.ndarray, top: int) -> np.ndarray:
    """Share of the k heads with the largest effects that are among the k with the largest scores, [1 + B].

    Ties are broken in favour of the first heads.
    """
    chosen = [
        np.argsort(-values.reshape(len(values), -1), axis=1, kind="stable")[:, :top] for values in (score, effect)
    ]
    marks = np.zeros((2, len(score), score[0].size), dtype=bool)
    for mark, own in zip(marks, chosen, strict=True):
        np.put_along_axis(mark, own, True, axis=1)
    return np.asarray((marks[0] & marks[1]).sum(axis=1) / top)


def line(estimate: np.ndarray, effect: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope of the regression over heads of effects on estimates, and its R², [1 + B] each; NaN for a constant."""
    x, y = (values.reshape(len(values), -1) for values in (estimate, effect))
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where((x * x).sum(axis=1) > 0, (x * y).sum(axis=1) / (x * x).sum(axis=1), np.nan)
    return slope, pearson(estimate, effect) ** 2


def ceilings(run: Run, splits: int, task: str, seed: int) -> dict[str, dict[Kind, np.ndarray]]:
    """Reliability of the effects in every split of the samples into halves, [splits], by phase, ablation and kind.

    With r as Spearman's correlation over all heads between the effects of both halves, it is 2 r / (1 + r), the value
    for all samples (Spearman 1910, Brown 1910). It is NaN if effects are the same for all heads, or r is −1.

    Args:
        run: both phases.
        splits: number of splits.
        task: determines, together with the seed, the splits, which both phases and all ablations share.
        seed: as `task`.
    """
    samples = len(run.phases["before"].base.ids)
    generator = np.random.Generator(np.random.PCG64([seed, *f"{task}/halves".encode()]))
    orders = np.stack([generator.permutation(samples) for _ in range(splits)])
    halves = np.zeros((2, splits, samples))
    for half, places in zip(halves, (orders[:, : samples // 2], orders[:, samples // 2 :]), strict=True):
        np.put_along_axis(half, places, 1 / places.shape[1], axis=1)
    found: dict[str, dict[Kind, np.ndarray]] = {phase: {} for phase in (*PHASES, DIFFERENCE)}
    before, after = (run.phases[phase].effects for phase in PHASES)
    for name in before:
        for phase, effects in zip(PHASES, (before[name], after[name]), strict=True):
            found[phase][name, ABSOLUTE] = reliability(np.abs(effects), halves)
            found[phase][name, SIGNED] = reliability(effects, halves)
        difference = after[name] - before[name]
        found[DIFFERENCE][name, ABSOLUTE] = reliability(np.abs(after[name]) - np.abs(before[name]), halves)
        found[DIFFERENCE][name, SIGNED] = reliability(difference, halves)
        found[DIFFERENCE][name, MOVED] = reliability(difference, halves, np.abs)
    return found


def reliability(
    effects: np.ndarray, halves: np.ndarray, take: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> np.ndarray:
    """Spearman-Brown reliability of means over samples, [splits].

    Args:
        effects: [N, L, H].
        halves: [2, splits, N], weights of the samples in either half.
        take: function of the mean of a half.
    """
    r = spearman(*(take(replicate_patterns(effects, half)) for half in halves))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(r > -1, 2 * r / (1 + r), np.nan)


def with_means(
    measured: Mapping[validity.State, Mapping[Kind, np.ndarray]],
) -> dict[validity.State, Mapping[Kind, np.ndarray]]:
    """The measures of every run, and means over seeds and tasks of measures that all runs of a model have.

    A score may be missing in some runs: it cannot be computed there, or is the same for all heads.
    """
    common: dict[tuple[str, str], set[Kind]] = {}
    for (model, _, _, phase), by_kind in measured.items():
        common[model, phase] = common.get((model, phase), set(by_kind)) & set(by_kind)
    shared = {
        state: {of: values for of, values in by_kind.items() if of in common[state[0], state[3]]}
        for state, by_kind in measured.items()
    }
    return {**validity.with_means(shared), **measured}


def draws_agree(run: Run, phase: str, ablation: str, way: str) -> float:
    """Agreement of the draws of an ablation on the order of heads, by effects of one kind.

    It is the mean of Spearman's correlations of every two draws; NaN for a single draw.
    """
    before, after = (run.phases[one].draws[ablation] for one in PHASES)  # [draws, N, L, H]
    if way == ABSOLUTE:
        before, after = np.abs(before), np.abs(after)
    means = {"before": before, "after": after, DIFFERENCE: after - before}[phase].mean(axis=1)
    means = np.abs(means) if way == MOVED else means
    found = [spearman(means[a], means[b]) for a in range(len(means)) for b in range(a)]
    return float(np.mean(found)) if found else np.nan
