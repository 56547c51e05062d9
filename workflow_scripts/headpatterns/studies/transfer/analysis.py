"""The gain of every task from training on each other task, and whether similar tasks help each other."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.statistics import DIFFERENCE_OF_CORRELATIONS, UNLIMITED
from headpatterns.statistics.effects import over_seeds
from headpatterns.statistics.mantel import DESIGNS, STATISTICS, two_sided
from headpatterns.statistics.verdicts import holm
from headpatterns.studies.reading import Reading
from headpatterns.studies.table import Table
from headpatterns.studies.transfer import forms
from headpatterns.studies.transfer.losses import Key, OnTask
from headpatterns.studies.transfer.relations import SIMILARITIES, TRANSFER, OfModel, gathered, held_against

ALL = "*"
"""Stands for the seed in rows over all seeds."""

NUMBERS = ("value", "low", "high", "plain")
TRANSFER_COLUMNS = ("model", "trained_on", "task", "seed", "samples", "before", "after", "gain", "low", "high")
TESTS = ("p_above", "p_below", "p_least", "p", "p_adjusted")
MANTEL_COLUMNS = ("model", "matrix", "design", "statistic", "tasks", *NUMBERS, "critical", *TESTS)
FORMS_COLUMNS = ("model", "matrix", "shared", "sets", *NUMBERS, *TESTS)

Tests = list[tuple[tuple[Any, ...], tuple[float, float, float]]]
"""Rows without p-values, each with the shares of permutations at least and at most as large, and the least share."""


def compute(
    runs: Path,
    losses: Sequence[Path],
    named: Sequence[Sequence[Any]],
    variants: Mapping[str, str],
    resamples: int,
    seed: int,
    reading: Mapping[str, Any] | None = None,
) -> dict[str, Table]:
    """The transfer matrix of every model, and the tests on it.

    Args:
        runs: run table (CSV); the adaptation study is used.
        losses: tables of transfer_losses.
        named: model, task and seed of each.
        variants: tasks that are the same rows in two forms, one by the other.
        resamples: bootstrap replicates of the probe samples.
        seed: of the bootstrap.
        reading: fields of a `Reading`.

    Returns:
        `transfer`: losses before and after, and the gain, of each run on each task, then over all seeds. `mantel`: the
        correlation of each similarity with the gains, with Mantel's test. `forms`: what sharing rows, or a form, adds
        to each similarity and to the gains. A p is two-sided, and adjusted (Holm) over models and matrices.

    Raises:
        InputError: a file cannot be used, or the inputs do not fit each other.
    """
    models, found = gathered(runs, losses, named, resamples, seed, Reading.of(reading))
    return {
        "transfer": Table(TRANSFER_COLUMNS, transfer_rows(models, found, resamples, seed)),
        "mantel": Table(MANTEL_COLUMNS, mantel_rows(models)),
        "forms": Table(FORMS_COLUMNS, form_rows(models, variants)),
    }


def transfer_rows(
    models: Mapping[str, OfModel], found: Mapping[Key, Mapping[str, OnTask]], resamples: int, seed: int
) -> Iterator[tuple[Any, ...]]:
    """Each run on each task, seed by seed and then over all of them."""
    for model, known in models.items():
        seeds = list(dict.fromkeys(run.seed for run in known.runs))
        for trained, task in product(known.tasks, repeat=2):
            of_seeds = [found[model, trained, own][task] for own in seeds]
            gains = [one.gain(task, resamples, seed) for one in of_seeds]
            for own, one, gain in zip(seeds, of_seeds, gains, strict=True):
                yield (model, trained, task, own, *means([one]), *over_seeds([gain]).shown[:3])
            yield (model, trained, task, ALL, *means(of_seeds), *over_seeds(gains).shown[:3])


def means(of_seeds: Sequence[OnTask]) -> tuple[int, float, float]:
    """Number of samples, and the mean loss before and after."""
    losses = [[one.before.mean(), one.after.mean()] for one in of_seeds]
    before, after = (float(mean) for mean in np.mean(losses, axis=0))
    return len(of_seeds[0].ids), before, after


def mantel_rows(models: Mapping[str, OfModel]) -> Iterator[tuple[Any, ...]]:
    """Every similarity against transfer; p-values of one design and statistic are corrected together."""
    for design, statistic in product(DESIGNS, STATISTICS):
        tests: Tests = []
        for (model, known), name in product(models.items(), SIMILARITIES):
            effect, test = held_against(known, name, design, statistic)
            head = (model, name, design, statistic, len(known.tasks), *effect.shown, test.critical)
            tests.append((head, (test.p_above, test.p_below, test.p_least)))
        yield from corrected(tests)


def form_rows(models: Mapping[str, OfModel], variants: Mapping[str, str]) -> Iterator[tuple[Any, ...]]:
    """The effect of sharing rows or a form; nothing without variants."""
    for shared in forms.CONTRASTS if variants else ():
        tests: Tests = []
        for (model, known), name in product(models.items(), (*SIMILARITIES, TRANSFER)):
            effect = over_seeds(of_seeds(known, variants, name, shared), limits_of(name))
            head = (model, name, shared, len(variants), *effect.shown)
            tests.append((head, forms.permutation_p(known.plain(name), pairs_of(known, variants), shared)))
        yield from corrected(tests)


def of_seeds(known: OfModel, variants: Mapping[str, str], name: str, shared: str) -> list[np.ndarray]:
    """A contrast of a relation, [1 + B] for each seed."""
    contrast = forms.CONTRASTS[shared]
    return [contrast(matrices, pairs_of(known, variants)) for matrices in known.relations[name].values()]


def limits_of(name: str) -> tuple[float, float]:
    """Least and largest value of a contrast of a relation."""
    return UNLIMITED if name == TRANSFER else DIFFERENCE_OF_CORRELATIONS


def pairs_of(known: OfModel, variants: Mapping[str, str]) -> np.ndarray:
    """The places of both forms of each set of rows, [sets, 2]."""
    return np.array([[known.tasks.index(name) for name in pair] for pair in variants.items()])


def corrected(tests: Tests) -> Iterator[tuple[Any, ...]]:
    """Rows with their p-values: both one-sided, two-sided, and two-sided corrected (Holm) among these rows."""
    both = [two_sided(above, below) for _, (above, below, _) in tests]
    for (head, test), p, adjusted in zip(tests, both, holm(both), strict=True):
        yield (*head, *test, p, adjusted)
