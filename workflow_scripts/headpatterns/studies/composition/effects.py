"""The numbers behind the claims on Figure 4: the pair of basic tasks that the paper names, compared with other pairs.

The pair is named by the paper, so it is fixed; training seeds and probe samples vary. Permuted heads are not used as a
comparison: many arbitrary pairs are better than them, so their p-value is only in composition.csv.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from headpatterns.errors import InputError
from headpatterns.experiment import run_table
from headpatterns.statistics.bootstrap import R2, UNLIMITED
from headpatterns.statistics.controls import Equation, equations
from headpatterns.statistics.effects import over_seeds
from headpatterns.statistics.regression import r2_of_pairs
from headpatterns.studies import patterns
from headpatterns.studies.composition.analysis import split
from headpatterns.studies.effects import Measured
from headpatterns.studies.observed import observed
from headpatterns.studies.reading import Reading

Numbers = dict[str, Float64[np.ndarray, " replicates"]]
"""Effects of one run of a complex task, by name, estimate first."""


def measure(
    runs: Path, resamples: int, seed: int, expected_pairs: Mapping[str, Sequence[str]], reading: Reading
) -> list[Measured]:
    """The effects of every model and every task group with an expected pair; `about` is the group.

    Args:
        runs: run table (CSV); the composition study is used.
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap.
        expected_pairs: the two basic tasks that the paper finds for the complex task, by group.
        reading: how patterns are read.

    Returns:
        `pair_r2`: R² of the expected pair on changes; `pair_beats_base_patterns`: that minus its R² on base patterns
        alone. If there are other pairs, also `pair_margin`: its R² minus the largest R² of another pair;
        `pair_margin_partialled`: the same on changes without their own base pattern; `pair_beats_null`: its R² minus
        the mean R² of all other pairs.

    Raises:
        InputError: as `analysis.compute`, or an expected pair does not consist of two of the group's basic tasks.
    """
    rows_of_study = [row for row in patterns.rows_of(runs, "composition") if row.group in expected_pairs]
    patterns.check(rows_of_study, reading)
    grouped = run_table.grouped(rows_of_study, "model", "group", "seed")
    places = {
        key: place_of(expected_pairs[key[1]], [run.task for run in split(tasks, runs)[1]], key[1], runs)
        for key, tasks in grouped.items()
    }
    found: dict[tuple[str, str], list[Numbers]] = defaultdict(list)
    for key, tasks in grouped.items():
        complex_runs, basic_runs = split(tasks, runs)
        basic = [observed(run, resamples, seed, reading) for run in basic_runs]
        for run in complex_runs:
            sides = equations(observed(run, resamples, seed, reading), basic, reading.intercept)
            found[key[0], key[1]].append(numbers(sides, places[key], reading.intercept))
    return [
        Measured(name, model, group, over_seeds([one[name] for one in seeds], R2 if name == "pair_r2" else UNLIMITED))
        for (model, group), seeds in found.items()
        for name in seeds[0]
    ]


def place_of(pair: Sequence[str], names: Sequence[str], group: str, source: Path) -> int:
    """The index of a pair among all pairs of the basic tasks `names`; the order of its tasks does not matter.

    Raises:
        InputError: it does not consist of two of them.
    """
    known = [set(other) for other in combinations(names, 2)]
    if len(pair) != 2 or set(pair) not in known:
        raise InputError(
            f"The expected pair {'+'.join(pair)} of the group {group} does not consist of two of its basic tasks "
            f"in {source} ({', '.join(names)}): fix task_groups.{group}.expected_pair."
        )
    return known.index(set(pair))


def numbers(sides: Mapping[str, Equation], place: int, intercept: bool) -> Numbers:
    """The effects of one complex task with one training seed, each [1 + B]; `place` is that of the expected pair."""
    r2 = {of: r2_of_pairs(*equation, intercept) for of, equation in sides.items()}
    own = {of: values[:, place] for of, values in r2.items()}
    others = {of: np.delete(values, place, axis=1) for of, values in r2.items()}
    found = {"pair_r2": own["change"], "pair_beats_base_patterns": own["change"] - own["base"]}
    if others["change"].shape[1]:
        found |= {
            "pair_margin": own["change"] - others["change"].max(axis=1),
            "pair_margin_partialled": own["partialled"] - others["partialled"].max(axis=1),
            "pair_beats_null": own["change"] - others["change"].mean(axis=1),
        }
    return found
