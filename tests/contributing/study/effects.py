"""What the claims about levels are about: the change of the mean level, with its error term."""

from pathlib import Path

import numpy as np

from headpatterns.experiment.run_table import grouped
from headpatterns.statistics.effects import effect
from headpatterns.studies import patterns
from headpatterns.studies.effects import Measured
from headpatterns.studies.reading import Reading


def measure(runs: Path, resamples: int, seed: int, reading: Reading) -> list[Measured]:
    """`mean_level_change` of every model: after minus before, the mean over heads, tasks and seeds.

    Args:
        runs: run table (CSV); the levels study is used.
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap.
        reading: how patterns are read.

    Raises:
        InputError: the run table or a pattern folder cannot be used.
    """
    rows_of_study = patterns.rows_of(runs, "levels")
    patterns.check(rows_of_study)
    found = []
    for (model,), of_model in grouped(rows_of_study, "model").items():
        changes = {}
        for run in of_model:
            before, after = patterns.paired(run, resamples, seed, reading)
            changes[run.task, run.seed] = (after - before).mean(axis=(1, 2))
        by_seed = [
            np.mean([change[0] for (_, training_seed), change in changes.items() if training_seed == one])
            for one in dict.fromkeys(training_seed for _, training_seed in changes)
        ]
        rise = effect(np.mean(list(changes.values()), axis=0), by_seed)
        found.append(Measured("mean_level_change", model, "", rise))
    return found
