"""How far the pattern has moved from the base model's at every saved step of a fine-tuning run (Figure 5, Eq. 6)."""

from pathlib import Path
from typing import Any

from headpatterns.attribution.files import steps
from headpatterns.statistics import (
    CORRELATION,
    NOT_NEGATIVE,
    estimate_and_interval,
    mse,
    pearson,
    probe_weights,
    replicate_patterns,
)
from headpatterns.studies import patterns
from headpatterns.studies.table import Table

COLUMNS = ("model", "task", "seed", "step", "statistic", "value", "low", "high", "plain")
STATISTICS = {"correlation": (pearson, CORRELATION), "mse": (mse, NOT_NEGATIVE)}


def compute(runs: Path, resamples: int, seed: int) -> dict[str, Table]:
    """Correlation and mean squared error with step 0 for every step of every run of the dynamics study.

    Args:
        runs: run table (CSV); the dynamics study is used.
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap.

    Returns:
        `dynamics`: both statistics at every step.

    Raises:
        InputError: the run table or a pattern folder cannot be used.
    """
    rows_of_study = patterns.rows_of(runs, "dynamics")
    patterns.check(rows_of_study)
    rows: list[tuple[Any, ...]] = []
    for run in rows_of_study:
        samples = patterns.load(run, 0)
        weights = probe_weights(len(samples), run.task, resamples, seed)
        base = replicate_patterns(samples, weights)
        for step in steps(run.patterns):
            reached = replicate_patterns(patterns.load(run, step), weights)
            for name, (statistic, limits) in STATISTICS.items():
                values = statistic(base, reached)
                interval = estimate_and_interval(values, limits=limits)
                rows.append((run.model, run.task, run.seed, step, name, *interval, values[0]))
    return {"dynamics": Table(COLUMNS, rows)}
