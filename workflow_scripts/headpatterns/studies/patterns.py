"""The patterns of the runs that a study compares: checked from their headers, then read."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from headpatterns.attribution import files as patterns
from headpatterns.errors import InputError
from headpatterns.experiment import run_table
from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import change, paired_replicates
from headpatterns.studies import load_studies


def rows_of(path: Path, study: str) -> list[RunRow]:
    """The rows of one study in the run table, in its order.

    Raises:
        InputError: as `run_table.read`.
    """
    return run_table.read(path, study, [one.name for one in load_studies() if one.reads_steps])


def check(runs: Iterable[RunRow]) -> None:
    """Check from the headers of the pattern files alone that the runs can be compared.

    Raises:
        InputError: a folder without step 0 or a later step, an unreadable file, steps of one run that differ in shape,
            runs of one model that differ in [layers, heads], or runs of one model and task that differ in the number
            of probe samples.
    """
    heads: dict[str, tuple[tuple[int, ...], Path]] = {}
    samples: dict[tuple[str, str], tuple[int, Path]] = {}
    for run in runs:
        shape = _common_shape(run.patterns)
        known, folder = heads.setdefault(run.model, (shape[1:], run.patterns))
        if shape[1:] != known:
            raise InputError(
                f"{run.patterns} has patterns of {_times(shape[1:])} layers x heads but {folder} of the same model "
                f"{run.model} has {_times(known)}: extract the patterns of one of them again."
            )
        count, folder = samples.setdefault((run.model, run.task), (shape[0], run.patterns))
        if shape[0] != count:
            raise InputError(
                f"{run.patterns} has {shape[0]} probe samples but {folder} of the same task {run.task} has {count}: "
                "use one probe set for all seeds."
            )


def _common_shape(folder: Path) -> tuple[int, ...]:
    """The shape [samples, layers, heads] that the patterns of all steps in a folder share."""
    shapes = {step: _shape(folder, step) for step in patterns.before_to_after(folder)}
    first = shapes[0]
    if len(first) != 3 or 0 in first:
        raise InputError(f"{folder}: step 0 has shape {_times(first)}, not samples x layers x heads: extract it again.")
    for step, shape in shapes.items():
        if shape != first:
            raise InputError(
                f"{folder}: the patterns of step {step} have shape {_times(shape)} but those of step 0 have "
                f"{_times(first)}: remove the folder and extract the patterns again with one probe set."
            )
    return first


def _shape(folder: Path, step: int) -> tuple[int, ...]:
    path = folder / f"step-{step}.samples.npy"
    try:
        found: tuple[int, ...] = np.load(path, mmap_mode="r").shape
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is no complete NumPy array ({error}): remove it and extract it again.") from error
    return found


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def load(run: RunRow, step: int) -> np.ndarray:
    """Per-sample patterns of one step of a run: [samples, layers, heads].

    Raises:
        InputError: a value is NaN or infinite.
    """
    samples = patterns.load_samples(run.patterns, step)
    broken = np.argwhere(~np.isfinite(samples))
    if len(broken):
        sample, layer, head = broken[0]
        raise InputError(
            f"{run.patterns}/step-{step}.samples.npy is not finite at sample {sample}, layer {layer}, head {head}: "
            "extract the patterns again in a wider number format."
        )
    return samples


def before_and_after(run: RunRow) -> tuple[np.ndarray, np.ndarray]:
    """Per-sample patterns of the first and the last step of a run, each [samples, layers, heads]."""
    steps = patterns.steps(run.patterns)
    return load(run, steps[0]), load(run, steps[-1])


def paired(run: RunRow, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Patterns of a run before and after fine-tuning with their bootstrap replicates, each [1 + B, layers, heads].

    The draws are named after the run's task: runs on one probe set share them.

    Raises:
        InputError: as `load` and `paired_replicates`.
    """
    return paired_replicates(*before_and_after(run), run.task, resamples, seed)


def changes(run: RunRow, resamples: int, seed: int) -> np.ndarray:
    """Change of the pattern of a run, after minus before, with its replicates: [1 + B, layers, heads]."""
    return change(*paired(run, resamples, seed))
