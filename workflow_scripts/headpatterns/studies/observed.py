"""What Eq. 3 is about in a run: its pattern before fine-tuning and its change, by the same draws of probe samples."""

from pathlib import Path

from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics.controls import Observed
from headpatterns.studies import patterns
from headpatterns.studies.reading import Reading


def observed(run: RunRow, resamples: int, seed: int, reading: Reading) -> Observed:
    """A run's pattern before fine-tuning and its change, each [1 + B, layers, heads].

    Raises:
        InputError: as `patterns.paired`.
    """
    before, _ = patterns.paired(run, resamples, seed, reading)
    return Observed(before, patterns.changes(run, resamples, seed, reading))


def as_run(folder: Path, task: str, role: str = "basic", study: str = "", model: str = "", seed: int = 0) -> RunRow:
    """A pattern folder as the run table would name it; `task` names the draws of its samples."""
    return RunRow(study, "", model, model, task, task, "", role, seed, folder.parent.name, folder)
