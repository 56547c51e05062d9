"""Every score of heads against every ablation: how well it ranks heads, before and after fine-tuning and for the
change.

In each table, `ALL` of the study `validity` replaces the seed in a mean over seeds, and also the task in a mean over
tasks.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.errors import InputError
from headpatterns.statistics import (
    CORRELATION,
    NOT_NEGATIVE,
    R2,
    UNLIMITED,
    Limits,
    estimate_and_interval,
    replicate_patterns,
    value_and_range,
)
from headpatterns.studies.head_scores import doses, measures
from headpatterns.studies.head_scores.files import Run, Runs, read_runs
from headpatterns.studies.table import Table
from headpatterns.studies.validity import measures as validity
from headpatterns.studies.validity.ablations import PHASES
from headpatterns.studies.validity.measures import ABSOLUTE, DIFFERENCE, SIGNED

KEYS = ("model", "task", "seed", "phase")
COLUMNS = (*KEYS, "score", "ablation", "change", "measure", "value", "low", "high", "plain")
EFFECT_COLUMNS = (
    *(*KEYS, "ablation", "change", "samples", "value", "low", "high"),
    *("reliability", "reliability_low", "reliability_high", "ceiling", "draws", "draws_agree"),
)
LIMITS: dict[str, Limits] = {measures.SPEARMAN: CORRELATION, measures.WITHIN: CORRELATION, measures.R2: R2}


def compute(
    ablations: Sequence[Path], runs: Sequence[Sequence[Any]], resamples: int, seed: int, top: int, splits: int
) -> dict[str, Table]:
    """The three tables, each of every run, of means over seeds and of means over tasks.

    Args:
        ablations: folders of ablate_heads, made with scores.
        runs: model, task and training seed of each, in the order of the tables.
        resamples: bootstrap replicates of the samples.
        seed: of the bootstrap and of the halves.
        top: k of the top-k recall.
        splits: random splits of the samples into halves.

    Returns:
        `scores`: measures of every score against every ablation, debiased, with their `plain` values; a recall is
        plain, with the range of its replicates. `effects`: the mean effect over heads, and the reliability of effects.
        `doses`: dose and response, empty if no doses were given.

    Raises:
        InputError: files are damaged or do not fit each other, or a model has no more heads than `top`.
    """
    found = read_runs(ablations, runs, resamples, seed)
    for (model, *_), run in found.items():
        heads = run.phases["before"].base.changes[0].size
        if top >= heads:
            raise InputError(
                f"--settings: 'top' is {top}, but {model} has {heads} heads in all, and some must be left: lower it."
            )
    return {
        "scores": Table(COLUMNS, score_rows(found, top)),
        "effects": Table(EFFECT_COLUMNS, effect_rows(found, splits, seed)),
        "doses": Table(doses.COLUMNS, doses.rows(found)),
    }


def score_rows(runs: Runs, top: int) -> Iterator[tuple[Any, ...]]:
    """Measures of scores against ablations."""
    measured = {
        (*of, phase): by_kind for of, run in runs.items() for phase, by_kind in measures.of_run(run, top).items()
    }
    for state, by_kind in measures.with_means(measured).items():
        for kind, values in by_kind.items():
            yield (*state, *kind, *with_interval(values, kind[-1]), values[0])


def with_interval(values: np.ndarray, measure: str) -> np.ndarray:
    """Value, low and high of replicates of a measure: debiased, unless it changes in steps."""
    if measure == measures.RECALL:
        return value_and_range(values)
    return estimate_and_interval(values, limits=LIMITS.get(measure, UNLIMITED))


def effect_rows(runs: Runs, splits: int, seed: int) -> Iterator[tuple[Any, ...]]:
    """Mean size of effects over heads, and their reliability; means over tasks give the smallest number of samples."""
    sizes: dict[validity.State, dict[measures.Kind, np.ndarray]] = {}
    reliable: dict[validity.State, dict[measures.Kind, np.ndarray]] = {}
    agreed: dict[validity.State, dict[measures.Kind, np.ndarray]] = {}
    samples: dict[tuple[str, str], int] = {}
    draws: dict[tuple[str, str], int] = {}
    for (model, task, training_seed), run in runs.items():
        before = run.phases["before"]
        draws.update({(model, name): len(of_draws) for name, of_draws in before.draws.items()})
        for one in (task, validity.ALL):
            samples[model, one] = min(len(before.base.ids), samples.get((model, one), len(before.base.ids)))
        for phase, by_way in measures.ceilings(run, splits, task, seed).items():
            state = (model, task, training_seed, phase)
            reliable[state] = by_way
            sizes[state] = {of: sizes_of(run, phase, *of) for of in by_way}
            agreed[state] = {of: np.array([measures.draws_agree(run, phase, *of)]) for of in by_way}
    of_sizes, of_agreement = validity.with_means(sizes), validity.with_means(agreed)
    for state, of_state in validity.with_means(reliable).items():
        for of, values in of_state.items():
            known = values[np.isfinite(values)]
            middle = float(known.mean()) if len(known) else np.nan
            ends = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
            drawn = draws[state[0], of[0]], of_agreement[state][of][0]
            numbers = (middle, *ends, np.sqrt(max(0.0, middle)), *drawn)
            size = estimate_and_interval(of_sizes[state][of], limits=limits_of_size(state[-1], of[1]))
            yield (*state, *of, samples[state[:2]], *size, *numbers)


def limits_of_size(phase: str, way: str) -> Limits:
    """The least and largest mean of effects, or of their differences: magnitudes are not below 0."""
    return NOT_NEGATIVE if way == measures.MOVED or (way == ABSOLUTE and phase != DIFFERENCE) else UNLIMITED


def sizes_of(run: Run, phase: str, ablation: str, way: str) -> np.ndarray:
    """The mean over heads of the effects of an ablation, [1 + B], or of their differences."""
    of_phases = [run.phases[one].effects[ablation] for one in PHASES]
    weights = run.weights.changes
    if phase == DIFFERENCE:
        before, after = (np.abs(one) if way == ABSOLUTE else one for one in of_phases)
        mean = replicate_patterns(after - before, weights)
        return np.asarray((np.abs(mean) if way == measures.MOVED else mean).mean(axis=(1, 2)))
    own = of_phases[PHASES.index(phase)]
    return np.asarray(replicate_patterns(own if way == SIGNED else np.abs(own), weights).mean(axis=(1, 2)))
