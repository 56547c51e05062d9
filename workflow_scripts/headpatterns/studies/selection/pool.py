"""The inputs of the selection: the pool, and per-sample patterns of the pool and of the pseudo-private samples."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headpatterns.attribution import files as patterns
from headpatterns.data import training_sets
from headpatterns.errors import InputError
from headpatterns.statistics import is_constant
from headpatterns.studies import patterns as of_runs
from headpatterns.studies.observed import as_run
from headpatterns.studies.reading import Reading
from headpatterns.studies.selection.scores import InBlocks


@dataclass(frozen=True)
class Patterns:
    """Per-sample patterns under the base model and the probe model.

    Attributes:
        folder: folder of the patterns.
        step: the largest step, which belongs to the probe model.
        ids: ids of the samples.
        under: [samples, layers, heads] of the models `base` (step 0) and `probe`, kept on disk.
        losses: [samples], losses of the base model, nats per response token.
        weights: [samples], the weight of each sample in a mean; they sum to 1.
    """

    folder: Path
    step: int
    ids: list[str]
    under: dict[str, of_runs.OnDisk]
    losses: np.ndarray
    weights: np.ndarray

    def mean(self, model: str) -> np.ndarray:
        """The mean pattern under a model, float64 [layers, heads]."""
        return self.mean_of(self.under[model])

    def mean_of(self, samples: InBlocks) -> np.ndarray:
        """The mean of per-sample patterns [samples, layers, heads], float64 [layers, heads]."""
        return np.tensordot(self.weights, samples[:].astype(np.float64), axes=1)

    @property
    def signed(self) -> patterns.Stored:
        """Σ_ij A_ij G_ij of every sample with its sign under the probe model, kept on disk.

        Raises:
            InputError: `abs_of_sum` was not extracted.
        """
        return patterns.stored(patterns.about(self.folder, self.step), "abs_of_sum")


def read_pool(path: Path, dataset: str) -> list[str]:
    """The ids of the pool, in its order.

    Raises:
        InputError: no table, a row of another dataset, or an id given twice.
    """
    ids: dict[str, int] = {}
    for number, (of, id) in enumerate(training_sets.read(path), start=1):
        if of != dataset:
            raise InputError(f"{path}, row {number} has the dataset {of!r}, not {dataset!r}: split the domain again.")
        if ids.setdefault(id, number) != number:
            raise InputError(f"{path}: rows {ids[id]} and {number} have the same id {id}: remove one.")
    return list(ids)


def read_patterns(folder: Path, reading: Reading) -> Patterns:
    """The patterns of the base model and of the probe model on the same samples.

    Raises:
        InputError: one of the two is missing, incomplete or not finite, or they have different samples.
    """
    steps = patterns.before_to_after(folder)
    (ids, base), (probe_ids, probe) = (read_step(folder, step, reading) for step in (0, steps[-1]))
    if ids != probe_ids or base.shape != probe.shape:
        raise InputError(
            f"{folder}: steps 0 and {steps[-1]} differ in their samples, layers or heads: remove the folder "
            "and run again."
        )
    weights = of_runs.weights(as_run(folder, folder.name), 2, 0, reading)[0]
    losses = base.stored.found.losses
    return Patterns(folder, steps[-1], ids, {"base": base, "probe": probe}, losses, weights)


def read_step(folder: Path, step: int, reading: Reading) -> tuple[list[str], of_runs.OnDisk]:
    """Sample ids and patterns [samples, layers, heads] of one step.

    Raises:
        InputError: as `of_runs.on_disk`.
    """
    found = of_runs.on_disk(as_run(folder, folder.name), step, reading)
    return found.stored.found.ids, found


def check_comparable(extracted: Patterns, private: Patterns) -> None:
    """Check that pool and pseudo-private patterns can be correlated.

    Raises:
        InputError: layers, heads or numbers of steps differ, or a mean pattern is constant.
    """
    shapes = [one.under["base"].shape[1:] for one in (extracted, private)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"{extracted.folder} has patterns of {shapes[0][0]} layers x {shapes[0][1]} heads but {private.folder} of "
            f"{shapes[1][0]} x {shapes[1][1]}: extract both from one run."
        )
    if extracted.step != private.step:
        raise InputError(
            f"{extracted.folder} ends at step {extracted.step} but {private.folder} at step {private.step}: extract "
            "both from one run."
        )
    for model in private.under:
        mean = private.mean(model)
        if is_constant(mean.ravel()):
            raise InputError(
                f"The mean pattern of {private.folder} under the {model} model is the same for all {mean.size} "
                "heads, so no correlation with it exists: select with another model."
            )
