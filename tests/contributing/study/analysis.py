"""The mean activation level of every run before and after fine-tuning."""

from pathlib import Path
from typing import Any

from headpatterns.statistics import change, estimate_and_interval
from headpatterns.studies import patterns
from headpatterns.studies.table import Table

COLUMNS = ("model", "task", "seed", "state", "value", "low", "high")


def compute(runs: Path, resamples: int, seed: int) -> dict[str, Table]:
    """The mean over all heads, for every run of the levels study.

    Args:
        runs: run table (CSV); the levels study is used.
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap.

    Returns:
        `levels`: before, after, and the change of every run.

    Raises:
        InputError: the run table or a pattern folder cannot be used.
    """
    rows_of_study = patterns.rows_of(runs, "levels")
    patterns.check(rows_of_study)
    rows: list[tuple[Any, ...]] = []
    for run in rows_of_study:
        before, after = patterns.paired(run, resamples, seed)
        for state, replicates in {"before": before, "after": after, "change": change(before, after)}.items():
            interval = estimate_and_interval(replicates.mean(axis=(1, 2)))
            rows.append((run.model, run.task, run.seed, state, *interval))
    return {"levels": Table(COLUMNS, rows)}
