"""Whether activation patterns predict what ablating heads does to the loss, before and after fine-tuning.

In each table `measures.ALL` stands for the seed of a mean over seeds, and for the task of a mean over tasks too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.errors import InputError
from headpatterns.statistics import CORRELATION, DIFFERENCE_OF_CORRELATIONS, estimate_and_interval
from headpatterns.studies.table import Table
from headpatterns.studies.validity import measures as validity
from headpatterns.studies.validity.ablations import PHASES, Ablation, check_alike, read_both

KEYS = ("model", "task", "seed", "phase")
COLUMNS = (*KEYS, "reduction", "change", "over", "value", "low", "high", "plain")
BETWEEN_COLUMNS = (*KEYS, "reduction_a", "reduction_b", "over", "value", "low", "high", "plain")
GROUP_COLUMNS = (*KEYS, "reduction", "change", "ranking", "k", "share", "value", "low", "high", "spread")
CONTRAST_COLUMNS = (*KEYS, "reduction", "change", "contrast", "value", "low", "high", "exceeds", "draws")


@dataclass(frozen=True)
class Ablations:
    """Both phases of a run, and the bootstrap of its samples."""

    phases: Mapping[str, Ablation]
    weights: validity.Weights


Runs = Mapping[tuple[str, str, str], Ablations]
"""Runs by model, task and training seed."""


def compute(ablations: Sequence[Path], runs: Sequence[Sequence[Any]], resamples: int, seed: int) -> dict[str, Table]:
    """The four tables, each of every run, of means over seeds and of means over tasks.

    Args:
        ablations: folders of ablate_heads.
        runs: model, task and training seed of each, in the order of the tables.
        resamples: bootstrap replicates of the samples.
        seed: seed of the bootstrap.

    Returns:
        `correlations`: correlations of patterns and changes of the loss, and their differences after minus before,
        debiased, with their `plain` values; `between`: correlations of the reductions, likewise; `groups`: change of
        the loss by size of the group; `contrasts`: the areas between those curves, groups of all heads left out, where
        `exceeds` is the share of the `draws` random draws beaten.

    Raises:
        InputError: a run is named twice or its seed is no number, or files are damaged or do not fit each other.
    """
    found = read_runs(ablations, runs, resamples, seed)
    return {
        "correlations": Table(COLUMNS, correlation_rows(found)),
        "between": Table(BETWEEN_COLUMNS, between_rows(found)),
        "groups": Table(GROUP_COLUMNS, group_rows(found)),
        "contrasts": Table(CONTRAST_COLUMNS, contrast_rows(found)),
    }


def read_runs(ablations: Sequence[Path], named: Sequence[Sequence[Any]], resamples: int, seed: int) -> Runs:
    """Read and check the ablations of all runs.

    Raises:
        InputError: as `compute`.
    """
    if len(ablations) != len(named):
        raise InputError(f"ablations has {len(ablations)} folders but runs names {len(named)} runs: give one for each.")
    runs: dict[tuple[str, str, str], Ablations] = {}
    for folder, words in zip(ablations, named, strict=True):
        if len(words) != 3:
            raise InputError(f"runs names {words!r} for {folder}: give its model, task and training seed.")
        model, task, training_seed = map(str, words)
        if not training_seed.isdecimal():
            raise InputError(
                f"runs names {model} {task} {training_seed} for {folder}, but the seed is not a whole number: fix it."
            )
        if (model, task, training_seed) in runs:
            raise InputError(f"runs names {model} {task} {training_seed} twice: leave one out.")
        phases = read_both(folder)
        weights = validity.weights_of(phases["before"], task, resamples, seed)
        runs[model, task, training_seed] = Ablations(phases, weights)
    check_alike(by_model(runs))
    return runs


def by_model(runs: Runs) -> dict[str, list[Ablation]]:
    """The ablations of each model."""
    found: dict[str, list[Ablation]] = {}
    for (model, *_), run in runs.items():
        found.setdefault(model, []).extend(run.phases.values())
    return found


def correlation_rows(runs: Runs) -> Iterator[tuple[Any, ...]]:
    """Correlations of patterns and changes of the loss, and their differences, after minus before."""
    measured: dict[validity.State, dict[validity.Kind, np.ndarray]] = {}
    for (model, task, seed), run in runs.items():
        before, after = (validity.correlations(run.phases[phase], run.weights) for phase in PHASES)
        difference = {of: after[of] - before[of] for of in before}
        for phase, found in zip((*PHASES, validity.DIFFERENCE), (before, after, difference), strict=True):
            measured[model, task, seed, phase] = found
    for state, by_kind in validity.with_means(measured).items():
        limits = DIFFERENCE_OF_CORRELATIONS if state[-1] == validity.DIFFERENCE else CORRELATION
        yield from ((*state, *of, *estimate_and_interval(r, limits=limits), r[0]) for of, r in by_kind.items())


def between_rows(runs: Runs) -> Iterator[tuple[Any, ...]]:
    """Correlations between the patterns of every two reductions."""
    for state, by_kind in validity.with_means(each_phase(runs, validity.between_reductions)).items():
        yield from ((*state, *of, *estimate_and_interval(r, limits=CORRELATION), r[0]) for of, r in by_kind.items())


def group_rows(runs: Runs) -> Iterator[tuple[Any, ...]]:
    """Changes of the loss by size of the group."""
    models = by_model(runs)
    for state, by_kind in validity.with_means(each_phase(runs, validity.curves)).items():
        like = models[state[0]][0]
        for of, curve in by_kind.items():
            points = zip(like.top, like.shares, *estimate_and_interval(curve.change), curve.spread, strict=True)
            yield from ((*state, like.reduction, *of, *point) for point in points)


def contrast_rows(runs: Runs) -> Iterator[tuple[Any, ...]]:
    """Areas between the curves."""
    models = by_model(runs)
    for state, by_kind in validity.with_means(each_phase(runs, validity.contrasts)).items():
        for of, contrast in by_kind.items():
            numbers = (*estimate_and_interval(contrast.value), contrast.exceeds, len(contrast.draws))
            yield (*state, models[state[0]][0].reduction, *of, *numbers)


def each_phase(
    runs: Runs, measure: Callable[[Ablation, validity.Weights], dict[validity.Kind, validity.Measure]]
) -> dict[validity.State, dict[validity.Kind, validity.Measure]]:
    """The results of `measure` for every run and phase."""
    return {
        (model, task, seed, phase): measure(ablation, run.weights)
        for (model, task, seed), run in runs.items()
        for phase, ablation in run.phases.items()
    }
