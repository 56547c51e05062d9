"""Least-squares decomposition of the complex tasks' pattern changes into those of basic tasks (Figure 4, Eq. 3, 10).

Each term set is fitted three times: to changes, as in the paper, and to the two controls of
`headpatterns.statistics.controls`, base patterns alone and changes without their own base pattern.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.errors import InputError
from headpatterns.experiment import run_table
from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import R2, estimate_and_interval, regression, spearman, value_and_range
from headpatterns.statistics.controls import OF, equations
from headpatterns.statistics.effects import over_seeds
from headpatterns.studies import patterns
from headpatterns.studies.observed import observed
from headpatterns.studies.reading import Reading
from headpatterns.studies.table import Table

COLUMNS = (
    *("model", "group", "seed", "complex", "of", "terms", "size", "r2", "low", "high", "rank"),
    *("null_mean", "null_high", "p_value", "plain"),
)
COEFFICIENT_COLUMNS = ("model", "group", "seed", "complex", "of", "terms", "task", "beta", "low", "high", "plain")
BY_MODEL_COLUMNS = ("model", "group", "complex", "of", "terms", "size", "statistic", "value", "low", "high", "plain")
CONTROL_COLUMNS = (
    *("model", "group", "complex", "control", "pairs", "spearman", "low", "high"),
    *("best_on_changes", "best_on_control"),
)

TermSets = dict[tuple[str, int], list[np.ndarray]]
"""R² [1 + B] of each seed, by the terms of a set and their number."""


def compute(runs: Path, resamples: int, seed: int, permutations: int, reading: Mapping[str, Any]) -> dict[str, Table]:
    """R² and coefficients of every term set, and per model R² and rank of their means over seeds.

    Args:
        runs: run table (CSV); the composition study is used.
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap and of the permutations.
        permutations: draws of the null that permutes the heads.
        reading: the fields of a `Reading`; the paper's Eq. 3 has no intercept.

    Returns:
        `composition`: R² and null of every term set; `coefficients`: beta of every term set; `by_model`: mean R² over
        seeds, and its rank; `controls`: the agreement of the ranks of pairs between changes and a control.

    Raises:
        InputError: the run table or a pattern folder cannot be used, or a complex or basic task is missing.
    """
    read = Reading.of(reading)
    rows_of_study = patterns.rows_of(runs, "composition")
    patterns.check(rows_of_study, read)
    rows: list[tuple[Any, ...]] = []
    coefficients: list[tuple[Any, ...]] = []
    by_model: dict[tuple[str, str, str], dict[str, TermSets]] = defaultdict(
        lambda: {of: defaultdict(list) for of in OF}
    )
    for (model, group, training_seed), tasks in run_table.grouped(rows_of_study, "model", "group", "seed").items():
        complex_runs, basic_runs = split(tasks, runs)
        names = [run.task for run in basic_runs]
        basic = [observed(run, resamples, seed, read) for run in basic_runs]
        for run in complex_runs:
            sides = equations(observed(run, resamples, seed, read), basic, read.intercept)
            for of, equation in sides.items():
                key = (model, group, training_seed, run.task, of)
                fits = regression.fit_all(*equation, read.intercept, permutations, seed)
                rows += fit_rows(key, fits, names)
                coefficients += coefficient_rows(key, fits, names, read.intercept)
                for fit in fits:
                    by_model[model, group, run.task][of][terms_of(fit, names), len(fit.terms)].append(fit.r2)
    means = [
        row for key, found in by_model.items() for of, sets in found.items() for row in mean_rows((*key, of), sets)
    ]
    return {
        "composition": Table(COLUMNS, rows),
        "coefficients": Table(COEFFICIENT_COLUMNS, coefficients),
        "by_model": Table(BY_MODEL_COLUMNS, means),
        "controls": Table(
            CONTROL_COLUMNS, [row for key, found in by_model.items() for row in control_rows(key, found)]
        ),
    }


def terms_of(fit: regression.Fit, names: Sequence[str]) -> str:
    """The tasks of a term set in one word; `names` are the names of all basic tasks."""
    return "+".join(names[index] for index in fit.terms)


def fit_rows(key: tuple[Any, ...], fits: Sequence[regression.Fit], names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """A row for each term set: R² with its interval, its rank among the sets of the same size, and its null."""
    for fit in fits:
        same = np.array([other.r2[0] for other in fits if len(other.terms) == len(fit.terms)])
        rank = np.nan if np.isnan(fit.r2[0]) else 1 + np.count_nonzero(same > fit.r2[0])
        interval = estimate_and_interval(fit.r2, limits=R2)
        yield (*key, terms_of(fit, names), len(fit.terms), *interval, rank, *null_of(fit), fit.r2[0])


def null_of(fit: regression.Fit) -> tuple[float, float, float]:
    """Mean and 95 % quantile of R² under the null, and the p-value."""
    return fit.null.mean(), np.quantile(fit.null, 0.95), fit.p_value


def coefficient_rows(
    key: tuple[Any, ...], fits: Sequence[regression.Fit], names: Sequence[str], intercept: bool
) -> Iterator[tuple[Any, ...]]:
    """A row for each coefficient of each fit; `names` are the names of all basic tasks."""
    for fit in fits:
        labels = [*(names[index] for index in fit.terms), *(["intercept"] if intercept else [])]
        intervals = estimate_and_interval(fit.beta)
        terms = terms_of(fit, names)
        yield from ((*key, terms, label, *intervals[:, k], fit.beta[0, k]) for k, label in enumerate(labels))


def split(runs: Sequence[RunRow], table: Path) -> tuple[list[RunRow], list[RunRow]]:
    """Complex and basic runs of one model, group and seed; at least one of each.

    Raises:
        InputError: there is no complex or no basic run.
    """
    roles = {role: [run for run in runs if run.role == role] for role in run_table.ROLES}
    for role, found in roles.items():
        if not found:
            raise InputError(
                f"{table}: model {runs[0].model}, group {runs[0].group!r}, seed {runs[0].seed} has no {role} "
                "task in the composition study: add its row."
            )
    return roles["complex"], roles["basic"]


def mean_rows(key: tuple[str, ...], sets: TermSets) -> Iterator[tuple[Any, ...]]:
    """R², the mean over seeds, of each term set and its rank (1 is best) among the sets of the same size."""
    r2 = {label: np.mean(replicates, axis=0) for label, replicates in sets.items()}
    for (terms, size), own in r2.items():
        better = np.sum([other > own for (_, same), other in r2.items() if same == size], axis=0)
        rank = np.where(np.isnan(own), np.nan, 1.0 + better)
        yield (*key, terms, size, "r2", *over_seeds(sets[terms, size], R2).shown)
        yield (*key, terms, size, "rank", *value_and_range(rank), rank[0])


def control_rows(key: tuple[str, str, str], found: Mapping[str, TermSets]) -> Iterator[tuple[Any, ...]]:
    """Spearman's correlation over all pairs between R² on changes and on each control, and the best pair on both.

    R² are plain means over seeds, and `low` and `high` the range of the correlation over the bootstrap. Without three
    pairs a correlation says nothing: it is left out.
    """
    pairs = [label for label, size in found["change"] if size == 2]
    if len(pairs) < 3:
        return
    # Pairs stand where `spearman` expects heads: [1 + B, 1, pairs].
    r2 = {
        of: np.stack([np.mean(sets[label, 2], axis=0) for label in pairs], axis=-1)[:, None]
        for of, sets in found.items()
    }
    for control in OF[1:]:
        agreement = value_and_range(spearman(r2["change"], r2[control]))
        yield (*key, control, len(pairs), *agreement, *(best_of(pairs, r2[of][0, 0]) for of in ("change", control)))


def best_of(pairs: Sequence[str], r2: np.ndarray) -> str:
    """The pair with the highest R² [pairs], the first one in a tie; empty if one is undefined."""
    return "" if np.isnan(r2).any() else pairs[int(np.argmax(r2))]
