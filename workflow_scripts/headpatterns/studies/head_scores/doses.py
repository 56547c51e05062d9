"""Dose and response: the loss as a head is scaled down, and how well its slope at full dose predicts it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from headpatterns.attribution.boole import DOSES, integrated
from headpatterns.statistics import (
    CORRELATION,
    NOT_NEGATIVE,
    R2,
    UNLIMITED,
    estimate_and_interval,
    replicate_patterns,
    spearman,
)
from headpatterns.studies.head_scores import measures
from headpatterns.studies.head_scores.files import Run, Runs
from headpatterns.studies.validity import measures as validity
from headpatterns.studies.validity.ablations import PHASES

COLUMNS = ("model", "task", "seed", "phase", "dose", "measure", "value", "low", "high", "plain")
CHANGE, MAGNITUDE, GRADIENT, FORETOLD, GAP = "change", "magnitude", "gradient", "spearman", "integral_gap"
LIMITS = {FORETOLD: CORRELATION, measures.R2: R2, MAGNITUDE: NOT_NEGATIVE, GAP: NOT_NEGATIVE}


def rows(runs: Runs) -> Iterator[tuple[Any, ...]]:
    """Rows of `COLUMNS` of every run, means over seeds and means over tasks; empty if no doses were given."""
    measured = {
        (*of, phase): of_phase(run, phase) for of, run in runs.items() for phase in PHASES
        if run.phases[phase].doses is not None
    }  # fmt: skip
    for state, by_kind in validity.with_means(measured).items():
        for (dose, measure), values in by_kind.items():
            limits = LIMITS.get(measure, UNLIMITED)
            yield (*state, dose, measure, *estimate_and_interval(values, limits=limits), values[0])


def of_phase(run: Run, phase: str) -> dict[validity.Kind, np.ndarray]:
    """Measures of every dose below 1, [1 + B] each, by dose and measure.

    `change` is the mean over heads of the change of the loss, `magnitude` the mean over heads of its mean magnitude
    over samples, and `gradient` the mean of dL/ds. (s − 1) dL/ds at s = 1 predicts the change on the same samples, so
    their difference is not noise: `spearman`, `slope` and `r2` are over heads. `integral_gap` is the largest difference
    over heads between the change at dose 0 and −∫ dL/ds ds by Boole's rule.
    """
    doses = run.phases[phase].doses
    assert doses is not None
    changes, slopes = ([replicate_patterns(one, run.weights.changes) for one in every] for every in doses)
    sizes = [replicate_patterns(np.abs(one), run.weights.changes) for one in doses[0]]
    found: dict[validity.Kind, np.ndarray] = {}
    for place, dose in enumerate(DOSES[:-1]):
        foretold = (dose - 1) * slopes[-1]
        of = str(dose)
        found[of, CHANGE] = changes[place].mean(axis=(1, 2))
        found[of, MAGNITUDE] = sizes[place].mean(axis=(1, 2))
        found[of, GRADIENT] = slopes[place].mean(axis=(1, 2))
        found[of, FORETOLD] = spearman(foretold, changes[place])
        found[of, measures.SLOPE], found[of, measures.R2] = measures.line(foretold, changes[place])
    gap = integrated(np.stack(slopes)) + changes[0]
    found[str(DOSES[0]), GAP] = np.abs(gap).max(axis=(1, 2))
    return found
