"""The patterns of the runs that a study compares; headers are checked before patterns are read."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Float64

from headpatterns.attribution import files
from headpatterns.attribution.patterns import reduced
from headpatterns.errors import InputError
from headpatterns.experiment import run_table
from headpatterns.experiment.fields import Normalisation
from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import probe_weights, replicate_patterns
from headpatterns.statistics.bootstrap import batch_shares, reweighted
from headpatterns.studies import load_studies
from headpatterns.studies.memory import remembered, remembered_of_one_reading
from headpatterns.studies.reading import PLAIN, Reading

_about = remembered(files.about)


def rows_of(path: Path, study: str) -> list[RunRow]:
    """The rows of one study in the run table, in its order.

    Raises:
        InputError: as `run_table.read`.
    """
    return run_table.read(path, study, [one.name for one in load_studies() if one.in_run_table])


def layer_numbers(run: RunRow) -> list[int] | None:
    """Numbers in the model of the layers of a run's patterns, None where they are counted from 0."""
    return _about(run.patterns, 0).layer_numbers


def check(runs: Iterable[RunRow], reading: Reading = PLAIN) -> None:
    """Check only from the headers of the pattern files and their provenance that the runs can be compared.

    Raises:
        InputError: a folder without step 0 or a later step, an unreadable file, patterns of an earlier format, steps of
            one run that differ in shape, runs of one model that differ in [layers, heads], runs of one model and task
            that differ in the number of probe samples, or runs in different reductions, or without the one of
            `reading`.
    """
    stored = Reading(reduction=reading.reduction)
    reductions: dict[str, Path] = {}
    heads: dict[str, tuple[tuple[int, ...], Path]] = {}
    samples: dict[tuple[str, str], tuple[int, Path]] = {}
    for run in runs:
        shape, reduction = _common_shape(run.patterns, stored), _common_reduction(run.patterns, stored)
        reductions.setdefault(reduction, run.patterns)
        if len(reductions) > 1:
            (one, folder), (other, place) = reductions.items()
            raise InputError(
                f"{folder} has patterns in the reduction {one} but {place} in {other}: extract both with one config."
            )
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


@remembered
def _common_reduction(folder: Path, reading: Reading) -> str:
    """The reduction in which the patterns of all steps in a folder are read; every step has it."""
    found = [_about(folder, step) for step in files.before_to_after(folder)]
    wanted = [reading.reduction or about.reduction for about in found]
    for about, reduction in zip(found, wanted, strict=True):
        about.samples_file(reduction)
    if different := next((one for one in wanted if one != wanted[0]), None):
        raise InputError(
            f"{folder} has steps in the reductions {wanted[0]} and {different}: remove the folder and run the rule "
            "extract_patterns again."
        )
    return wanted[0]


@remembered
def _common_shape(folder: Path, reading: Reading) -> tuple[int, ...]:
    """The shape [samples, layers, heads] that the patterns of all steps in a folder share."""
    shapes = {step: _shape(folder, step, reading) for step in files.before_to_after(folder)}
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


def _shape(folder: Path, step: int, reading: Reading) -> tuple[int, ...]:
    path = _about(folder, step).samples_file(reading.reduction)
    try:
        found: tuple[int, ...] = np.load(path, mmap_mode="r").shape
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path} is not a complete NumPy array ({error}): remove the file and extract the patterns again."
        ) from error
    return found


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


@dataclass(frozen=True)
class OnDisk:
    """Per-sample patterns of one step of a run, [samples, layers, heads]: slices are read, reduced and normalised."""

    stored: files.Stored
    reduction: str
    normalisation: Normalisation

    @property
    def shape(self) -> tuple[int, ...]:
        """[samples, layers, heads]."""
        return self.stored.shape

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, part: slice) -> Float[np.ndarray, "samples layers heads"]:
        """The samples of a slice without a step.

        Raises:
            InputError: a value is NaN or infinite, or a sample cannot be normalised because its loss or all of its
                levels are 0.
        """
        levels = reduced(self.reduction, self.stored[part])
        if self.normalisation == "none":
            return levels
        about = self.stored.found
        by_loss = self.normalisation == "loss"
        divisors = about.losses[part] if by_loss else levels.sum(axis=(1, 2), dtype=np.float64)
        if (divisors <= 0).any():
            sample = about.ids[part][int(np.argmax(divisors <= 0))]
            what = "the loss" if by_loss else "the level of every head"
            raise InputError(
                f"{about.path}: {what} of the sample {sample} is 0, so levels cannot be divided by it: set "
                "analysis.normalisation to none."
            )
        normalised: Float64[np.ndarray, "samples layers heads"] = levels / divisors[:, None, None]
        return normalised


def on_disk(run: RunRow, step: int, reading: Reading = PLAIN) -> OnDisk:
    """Per-sample patterns of one step of a run; only their shape is read at first.

    Raises:
        InputError: as `files.stored`.
    """
    about = _about(run.patterns, step)
    reduction = reading.reduction or about.reduction
    return OnDisk(files.stored(about, reduction), reduction, reading.normalisation)


def load(run: RunRow, step: int, reading: Reading = PLAIN) -> Float[np.ndarray, "samples layers heads"]:
    """Per-sample patterns of one step of a run, after reduction and normalisation: [samples, layers, heads].

    Raises:
        InputError: the reduction was not extracted, a value is NaN or infinite, or a sample cannot be normalised
            because its loss or all of its levels are 0.
    """
    return on_disk(run, step, reading)[:]


def signed(run: RunRow, step: int) -> Float32[np.ndarray, "samples layers heads"]:
    """Σ_ij A_ij G_ij of every sample with its sign, at one step of a run: [samples, layers, heads].

    Raises:
        InputError: `abs_of_sum` was not extracted, or as `load`.
    """
    about = _about(run.patterns, step)
    found: Float32[np.ndarray, "samples layers heads"] = files.load_stored(about, "abs_of_sum")
    return found


def losses(run: RunRow, step: int) -> Float64[np.ndarray, " samples"]:
    """Loss of every probe sample at one step of a run (nats per response token)."""
    return _about(run.patterns, step).losses


@remembered_of_one_reading
def weights(
    run: RunRow, resamples: int, seed: int, reading: Reading = PLAIN
) -> Float64[np.ndarray, "1+{resamples} samples"]:
    """Weights of the probe samples of a run and of their bootstrap replicates, [1 + B, samples]; rows sum to 1.

    The draws are named after the run's task: runs on one probe set share them.

    Raises:
        InputError: as `probe_weights`, or the provenance of step 0 cannot be used.
    """
    tokens = _about(run.patterns, 0).response_tokens
    drawn = probe_weights(len(tokens), run.task, resamples, seed)
    return reweighted(drawn, batch_shares(tokens)) if reading.weighting == "batches_of_four" else drawn


def before_and_after(
    run: RunRow, reading: Reading = PLAIN
) -> tuple[Float[np.ndarray, "samples layers heads"], Float[np.ndarray, "samples layers heads"]]:
    """Per-sample patterns of the first and the last step of a run, each [samples, layers, heads]."""
    steps = files.steps(run.patterns)
    return load(run, steps[0], reading), load(run, steps[-1], reading)


@remembered_of_one_reading
def paired(
    run: RunRow, resamples: int, seed: int, reading: Reading = PLAIN
) -> tuple[
    Float64[np.ndarray, "1+{resamples} layers heads"],
    Float64[np.ndarray, "1+{resamples} layers heads"],
]:
    """Patterns of a run before and after fine-tuning with their bootstrap replicates, each [1 + B, layers, heads].

    Raises:
        InputError: as `load` and `weights`.
    """
    drawn = weights(run, resamples, seed, reading)
    before, after = before_and_after(run, reading)
    return replicate_patterns(before, drawn), replicate_patterns(after, drawn)
