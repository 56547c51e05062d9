"""Scores of heads and the effects of ablating them: the further files of ablate_heads, read and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from headpatterns.attribution.boole import DOSES
from headpatterns.errors import InputError
from headpatterns.io import read_json
from headpatterns.studies.validity import ablations as zero
from headpatterns.studies.validity import measures as validity

ZERO, MEAN, RESAMPLE, SCALE = "zero", "mean", "resample", "scale"
"""Ways to ablate a head, with their names in ablate_heads."""


@dataclass(frozen=True)
class Scored:
    """One phase of a run.

    Attributes:
        base: zero ablation, and the samples of both kinds.
        scores: by name [M, L, H] or [L, H].
        left_out: why a score is missing, by its name.
        draws: by ablation [draws, N, L, H], changes of the loss; only `resample` has several draws.
        doses: changes of the loss at each dose and its derivative by the dose, [2, doses, N, L, H]; None without doses.
    """

    base: zero.Ablation
    scores: Mapping[str, np.ndarray]
    left_out: Mapping[str, str]
    draws: Mapping[str, np.ndarray]
    doses: np.ndarray | None

    @property
    def effects(self) -> dict[str, np.ndarray]:
        """Changes of the loss by ablation, the mean over draws: [N, L, H]."""
        return {name: draws.mean(axis=0) for name, draws in self.draws.items()}


@dataclass(frozen=True)
class Run:
    """Both phases of a run, and the bootstrap of its samples."""

    phases: Mapping[str, Scored]
    weights: validity.Weights


class Key(NamedTuple):
    """The key of a run."""

    model: str
    task: str
    seed: str


Runs = Mapping[Key, Run]
"""Runs by model, task and training seed."""


def read_runs(ablations: Sequence[Path], runs: Sequence[Sequence[Any]], resamples: int, seed: int) -> Runs:
    """Every run, with the bootstrap of the validity study.

    Args:
        ablations: folders of ablate_heads.
        runs: model, task and training seed of each.
        resamples: bootstrap replicates of the samples.
        seed: of the bootstrap.

    Raises:
        InputError: files are damaged, do not fit each other, or were made without scores.
    """
    found: dict[Key, Run] = {}
    for folder, (model, task, training_seed) in zip(ablations, runs, strict=True):
        bases = zero.read_both(folder)
        phases = {phase: read(folder, phase, base) for phase, base in bases.items()}
        before, after = (set(phases[phase].draws) for phase in zero.PHASES)
        if before != after:
            raise InputError(
                f"{folder} has other ways of ablation before fine-tuning than after it: remove it and run the "
                "rule ablate_heads again."
            )
        weights = validity.weights_of(bases["before"], str(task), resamples, seed)
        found[Key(str(model), str(task), str(training_seed))] = Run(phases, weights)
    return found


def read(folder: Path, phase: str, base: zero.Ablation) -> Scored:
    """The files of ablate_heads in `folder` about a phase, apart from zero ablation, which is `base`.

    Raises:
        InputError: a file is missing or damaged, has another shape, or there are no scores.
    """
    about = read_json(folder / f"{phase}.json")
    names = about.get("scores")  # none if the model lacks one of the requested scores
    if names is None:
        raise InputError(f"{folder} has no scores of heads: ablate the heads again with --scores.")
    shape, own = base.changes.shape[1:], (len(base.pattern_ids), *base.changes.shape[1:])
    scores = {name: _load(folder / f"{phase}.score.{name}.npy", [shape, own]) for name in names}
    draws = {ZERO: base.changes[None]}
    kinds = about.get("ablations", [])
    if MEAN in kinds:
        draws[MEAN] = _load(folder / f"{phase}.mean.npy", [base.changes.shape])[None]
    if RESAMPLE in kinds:
        count = int(about["resample_draws"])
        draws[RESAMPLE] = _load(folder / f"{phase}.resample.npy", [(count, *base.changes.shape)])
    doses = None
    if SCALE in kinds:
        whole = (len(DOSES), *base.changes.shape)
        doses = np.stack([_load(folder / f"{phase}.{name}.npy", [whole]) for name in ("doses", "slopes")])
    return Scored(base, scores, about.get("scores_left_out", {}), draws, doses)


def _load(path: Path, shapes: Sequence[tuple[int, ...]]) -> np.ndarray:
    """An array of finite numbers of one of the shapes."""
    array = zero.load(path)
    if array.shape not in shapes:
        raise InputError(
            f"{path} has the shape {list(array.shape)}, but {' or '.join(str(list(one)) for one in shapes)} is "
            "expected: remove its folder and make it again."
        )
    return array
