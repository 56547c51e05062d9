"""The inputs of Eq. 3 from a run: its pattern before fine-tuning and its change, on the same draws of probe samples."""

from pathlib import Path

from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import change, change_rate, log_ratio
from headpatterns.statistics.controls import Observed
from headpatterns.studies import patterns
from headpatterns.studies.reading import Reading

CHANGES = {"difference": change, "rate": change_rate, "log_ratio": log_ratio}
"""The functions by `Reading.change`; each takes patterns before and after."""


def observed(run: RunRow, resamples: int, seed: int, reading: Reading) -> Observed:
    """A run's pattern before fine-tuning and its change as it is read, each [1 + B, layers, heads].

    NaN where a rate or a log-ratio is not defined.

    Raises:
        InputError: as `patterns.paired`.
    """
    before, after = patterns.paired(run, resamples, seed, reading)
    return Observed(before, CHANGES[reading.change](before, after))


def as_run(folder: Path, task: str, role: str = "basic", study: str = "", model: str = "", seed: int = 0) -> RunRow:
    """A pattern folder as a row of the run table; `task` names the draws of its samples."""
    return RunRow(study, "", model, model, task, task, "", role, seed, folder.parent.name, folder)
