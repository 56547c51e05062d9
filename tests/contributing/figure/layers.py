"""In which layers the activation levels lie before and after fine-tuning."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.statistics import change, estimate_and_interval
from headpatterns.studies import patterns
from headpatterns.studies.table import Table

COLUMNS = ("model", "state", "layer", "value", "low", "high")


def compute(runs: Path, resamples: int, seed: int) -> dict[str, Table]:
    """The mean level of every layer: over its heads, tasks and training seeds.

    Args:
        runs: run table (CSV); the adaptation study is used.
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap.

    Returns:
        `layers`: every layer of every model before, after, and the change.

    Raises:
        InputError: the run table or a pattern folder cannot be used.
    """
    rows_of_study = patterns.rows_of(runs, "adaptation")
    patterns.check(rows_of_study)
    levels: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    for run in rows_of_study:
        before, after = patterns.paired(run, resamples, seed)
        for state, replicates in {"before": before, "after": after, "change": change(before, after)}.items():
            levels[run.model, state].append(replicates.mean(axis=-1))
    rows: list[tuple[Any, ...]] = []
    for (model, state), found in levels.items():
        value, low, high = estimate_and_interval(np.mean(found, axis=0))
        rows += [(model, state, layer, value[layer], low[layer], high[layer]) for layer in range(len(value))]
    return {"layers": Table(COLUMNS, rows)}
