"""What the claims about layers are about: how much more the level rises in the last one, with its error term."""

from pathlib import Path

import numpy as np

from headpatterns.experiment.run_table import grouped
from headpatterns.statistics.effects import effect
from headpatterns.studies import patterns
from headpatterns.studies.effects import Measured
from headpatterns.studies.reading import Reading


def measure(runs: Path, resamples: int, seed: int, reading: Reading) -> list[Measured]:
    """`last_minus_first_layer` of every model: of the changes of the mean level, the mean over tasks and seeds.

    Args:
        runs: run table (CSV); the adaptation study is used.
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap.
        reading: how patterns are read.

    Raises:
        InputError: the run table or a pattern folder cannot be used.
    """
    found = []
    for (model,), of_model in grouped(patterns.rows_of(runs, "adaptation"), "model").items():
        differences = []
        for run in of_model:
            before, after = patterns.paired(run, resamples, seed, reading)
            layers = (after - before).mean(axis=2)
            differences.append(layers[:, -1] - layers[:, 0])
        by_seed = [np.mean([one[0] for run, one in zip(of_model, differences, strict=True) if run.seed == seed_])
                   for seed_ in dict.fromkeys(run.seed for run in of_model)]  # fmt: skip
        found.append(Measured("last_minus_first_layer", model, "", effect(np.mean(differences, axis=0), by_seed)))
    return found
