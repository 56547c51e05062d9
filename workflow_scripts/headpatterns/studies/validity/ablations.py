"""The effect of ablating heads on the loss: the files of ablate_heads, read and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headpatterns.attribution.patterns import REDUCTIONS
from headpatterns.errors import InputError
from headpatterns.io import read_json

PHASES = ("before", "after")


@dataclass(frozen=True)
class Ablation:
    """The effect of ablating the heads of one model on the samples of one task.

    Attributes:
        ids: [N], the samples whose loss is measured.
        pattern_ids: [M], the samples of the patterns, none of them in `ids`.
        changes: [N, L, H], loss of a sample with one head ablated minus its loss without ablation.
        patterns: [3, M, L, H], in the order of `REDUCTIONS`.
        groups: [2 + draws, K, N], the same for groups of heads: heads with the largest patterns, with the smallest
            patterns, and random heads; the draws are nested in k.
        top: [K], the number k of heads in a group, ascending.
        reduction: reduction of the patterns whose mean over the M samples chooses the groups.
    """

    ids: list[str]
    pattern_ids: list[str]
    changes: np.ndarray
    patterns: np.ndarray
    groups: np.ndarray
    top: np.ndarray
    reduction: str

    @property
    def shares(self) -> np.ndarray:
        """The share of the model's heads in a group, [K]."""
        shares: np.ndarray = self.top / self.changes[0].size
        return shares


def read(folder: Path, phase: str) -> Ablation:
    """What ablate_heads wrote into `folder` about a phase, `before` or `after`.

    Raises:
        InputError: a file is missing or damaged, arrays do not fit each other, or a number is not finite.
    """
    about = folder / f"{phase}.json"
    try:
        content = read_json(about)
        ids, pattern_ids = list(content["ids"]), list(content["pattern_ids"])
        top, reduction = np.array(content["top"], dtype=int), str(content["reduction"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{about} does not say what was ablated ({error!r}): remove {folder} and run the rule ablate_heads again."
        ) from error
    changes, patterns, groups = (load(folder / f"{phase}.{name}.npy") for name in ("changes", "patterns", "groups"))
    fitting = (
        changes.ndim == 3
        and len(changes) == len(ids) > 0
        and patterns.shape == (len(REDUCTIONS), len(pattern_ids), *changes.shape[1:])
        and len(pattern_ids) > 0
        and groups.ndim == 3
        and len(groups) > 2
        and groups.shape[1:] == (len(top), len(ids))
        and len(top) > 0
        and reduction in REDUCTIONS
    )
    if not fitting:
        raise InputError(
            f"{folder}: the files of phase {phase!r} do not fit together ({len(ids)} samples, {len(pattern_ids)} "
            f"of patterns, {len(top)} sizes of groups by {reduction}, changes {changes.shape}, patterns "
            f"{patterns.shape}, groups {groups.shape}): remove the folder and run the rule ablate_heads again."
        )
    if shared := sorted(set(map(str, ids)) & set(map(str, pattern_ids))):
        raise InputError(
            f"{about} names the sample {shared[0]!r} for patterns and for changes of the loss, but the two must "
            f"not share samples: remove {folder} and run the rule ablate_heads again."
        )
    order = np.argsort(top)
    return Ablation(ids, pattern_ids, changes, patterns, groups[:, order], top[order], reduction)


def load(path: Path) -> np.ndarray:
    """A file of finite numbers, float64.

    Raises:
        InputError: it is no array, or a number is not finite.
    """
    try:
        array: np.ndarray = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path} is not a complete NumPy array ({error}): remove its folder and run the rule ablate_heads again."
        ) from error
    if not np.isfinite(array).all():
        raise InputError(f"{path} has a number that is not finite: ablate the heads again in a wider number format.")
    return array.astype(np.float64)


def read_both(folder: Path) -> dict[str, Ablation]:
    """Both phases of a run, checked to be comparable.

    Raises:
        InputError: as `read` does, or the phases differ in samples, heads, groups or reduction.
    """
    found = {phase: read(folder, phase) for phase in PHASES}
    before, after = found.values()
    if (
        before.ids != after.ids
        or before.pattern_ids != after.pattern_ids
        or before.changes.shape != after.changes.shape
        or before.groups.shape != after.groups.shape
        or (before.top != after.top).any()
        or before.reduction != after.reduction
    ):
        raise InputError(
            f"{folder}: the ablations before and after fine-tuning differ in samples, heads, groups or reduction: "
            "remove the folder and run the rule ablate_heads again."
        )
    return found


def check_alike(runs: Mapping[str, Sequence[Ablation]]) -> None:
    """Check that the runs of each model can be averaged, and the models be compared.

    Args:
        runs: the ablations of every model.

    Raises:
        InputError: the runs of a model differ in heads or sizes of groups, or any two in draws or reduction.
    """
    kinds = {(len(found.groups), found.reduction) for every in runs.values() for found in every}
    if len(kinds) > 1:
        raise InputError(
            "The ablated runs differ in random draws or in the reduction by which groups are chosen: ablate the "
            "heads of all models again with one config."
        )
    for model, every in runs.items():
        if len({(found.changes.shape[1:], tuple(found.top)) for found in every}) > 1:
            raise InputError(
                f"The ablated runs of {model} differ in heads or sizes of groups: ablate the heads of all runs "
                "again with one config."
            )
