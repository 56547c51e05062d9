"""Effects behind the claims about methods: agreement of changes between methods, seeds and tasks, with error terms."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import CORRELATION, DIFFERENCE_OF_CORRELATIONS
from headpatterns.studies.effects import Measured
from headpatterns.studies.jackknife import over_runs
from headpatterns.studies.methods.agreement import (
    END,
    METHOD,
    SAME_LOSS,
    SEED,
    TASK,
    Pair,
    courses,
    pairs,
    places_of,
)
from headpatterns.studies.reading import PLAIN, Reading

Term = tuple[str, str, str]
"""What the pairs differ in, the point at which they are read, and the correlation."""

TERMS: Mapping[str, tuple[Term, Term | None]] = {
    "methods_agree": ((METHOD, SAME_LOSS, "correlation"), None),
    "methods_agree_beyond_base": ((METHOD, SAME_LOSS, "partial_correlation"), None),
    "seeds_agree_more": ((SEED, SAME_LOSS, "correlation"), (METHOD, SAME_LOSS, "correlation")),
    "tasks_agree_less": ((METHOD, END, "correlation"), (TASK, END, "correlation")),
}
"""Each effect: the mean correlation of some pairs, minus that of others."""

Correlations = Sequence[tuple[RunRow, RunRow, Float64[np.ndarray, " replicates"]]]
"""For each pair: the two runs, and the correlation of their changes."""


def measure(runs: Path, resamples: int, seed: int, reading: Reading = PLAIN) -> list[Measured]:
    """The effects of the methods study, for each model and each group except the first.

    An effect that no pair of runs shows is left out, such as an effect of seeds where there is only one seed. An effect
    with a run that never learns is left out too, because that run has no change to compare at the same loss.

    Args:
        runs: run table (CSV).
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap.
        reading: how patterns are read.

    Raises:
        InputError: the run table or a pattern folder cannot be used.
    """
    found = courses(runs, resamples, seed, reading)
    groups = list(dict.fromkeys(course.run.group for course in found))
    measured = []
    for model in dict.fromkeys(course.run.model for course in found):
        for other in groups[1:]:
            two = [one for one in found if one.run.model == model and one.run.group in (groups[0], other)]
            agreement = correlations(list(pairs(two)))
            about = f"{groups[0]}, {other}" if len(groups) > 2 else ""
            for name in TERMS:
                values = difference(agreement, name, [one.run for one in two])
                if np.isnan(values[0]):
                    continue
                estimate = partial(plain_difference, agreement, name)
                limits = CORRELATION if TERMS[name][1] is None else DIFFERENCE_OF_CORRELATIONS
                effect = over_runs([one.run for one in two], values, estimate, limits=limits)
                measured.append(Measured(name, model, about, effect))
    return measured


def correlations(found: Sequence[Pair]) -> dict[Term, Correlations]:
    """The correlation of the changes of each pair, by what the pair differs in and the point at which it is read."""
    terms = {term for name in TERMS for term in TERMS[name] if term}
    return {
        (differ_in, read_at, which): [
            (pair.one.run, pair.other.run, pair.read(which, places_of(pair, read_at)))
            for pair in found
            if pair.differ_in == differ_in
        ]
        for differ_in, read_at, which in terms
    }


def difference(
    agreement: Mapping[Term, Correlations], effect: str, runs: Iterable[RunRow]
) -> Float64[np.ndarray, " replicates"]:
    """An effect of some runs, [1 + B]; [NaN] where no pair of them shows it."""
    some = set(runs)
    means = []
    for term in TERMS[effect]:
        values = [found for one, other, found in agreement[term] if one in some and other in some] if term else [0.0]
        means.append(np.mean(values, axis=0) if values else np.array([np.nan]))
    return np.asarray(means[0] - means[1])


def plain_difference(agreement: Mapping[Term, Correlations], effect: str, runs: Iterable[RunRow]) -> float:
    """The plain value of an effect of some runs."""
    return float(difference(agreement, effect, runs)[0])
