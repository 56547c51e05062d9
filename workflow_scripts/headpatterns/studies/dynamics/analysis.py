"""Distance of the pattern from the base model's at every saved step of a fine-tuning run (Figure 5, Eq. 6)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headpatterns.attribution.files import steps
from headpatterns.statistics import (
    CORRELATION,
    NOT_NEGATIVE,
    estimate_and_interval,
    mse,
    pearson,
    replicate_patterns,
)
from headpatterns.studies import patterns
from headpatterns.studies.reading import Reading
from headpatterns.studies.table import Table

COLUMNS = ("model", "task", "seed", "step", "statistic", "value", "low", "high", "plain")
STATISTICS = {"correlation": (pearson, CORRELATION), "mse": (mse, NOT_NEGATIVE)}


def compute(runs: Path, resamples: int, seed: int, reading: Mapping[str, Any] | None = None) -> dict[str, Table]:
    """Correlation and mean squared error with step 0 for every step of every run of the dynamics study.

    Args:
        runs: run table (CSV); the dynamics study is used.
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap.
        reading: fields of a `Reading`.

    Returns:
        `dynamics`: both statistics at every step.

    Raises:
        InputError: the run table or a pattern folder cannot be used.
    """
    read = Reading.of(reading)
    rows_of_study = patterns.rows_of(runs, "dynamics")
    patterns.check(rows_of_study, read)
    rows: list[tuple[Any, ...]] = []
    for run in rows_of_study:
        weights = patterns.weights(run, resamples, seed, read)
        base = replicate_patterns(patterns.load(run, 0, read), weights)
        for step in steps(run.patterns):
            reached = replicate_patterns(patterns.load(run, step, read), weights)
            for name, (statistic, limits) in STATISTICS.items():
                values = statistic(base, reached)
                interval = estimate_and_interval(values, limits=limits)
                rows.append((run.model, run.task, run.seed, step, name, *interval, values[0]))
    return {"dynamics": Table(COLUMNS, rows)}
