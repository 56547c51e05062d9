"""The losses of every task's samples before and after each run: the tables of transfer_losses, read and checked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from headpatterns.errors import InputError
from headpatterns.io import read_csv
from headpatterns.statistics import probe_weights

COLUMNS = ("task", "id", "tokens", "before", "after")
AGAIN = "remove it and run the rule transfer_losses again"

Key = tuple[str, str, int]
"""Model, task of the training set, and seed of a run."""


@dataclass(frozen=True)
class OnTask:
    """The losses of a task's samples before and after a run.

    Attributes:
        ids: ids of the samples.
        before: loss of each sample before the run, nats per response token.
        after: loss of each sample after the run.
    """

    ids: tuple[str, ...]
    before: Float[np.ndarray, " samples"]
    after: Float[np.ndarray, " samples"]

    def gain(self, task: str, resamples: int, seed: int) -> Float[np.ndarray, " replicates"]:
        """The decrease of the mean loss, [1 + B]; the draws equal those of the patterns on the same samples."""
        weights = probe_weights(len(self.ids), task, resamples, seed)
        return np.asarray(weights @ (self.before - self.after))


def read_all(paths: Sequence[Path], named: Iterable[Sequence[Any]]) -> dict[Key, dict[str, OnTask]]:
    """The losses of every run on every task.

    Raises:
        InputError: as `read`, or the runs were not measured on the same samples.
    """
    keys = [(str(model), str(task), int(seed)) for model, task, seed in named]
    found = {key: read(path) for key, path in zip(keys, paths, strict=True)}
    samples = {task: on.ids for task, on in next(iter(found.values())).items()}
    for (key, on_tasks), path in zip(found.items(), paths, strict=True):
        if key[1] not in on_tasks or {task: on.ids for task, on in on_tasks.items()} != samples:
            raise InputError(f"{path} and {paths[0]} have different tasks or samples: {AGAIN}.")
    return found


def read(path: Path) -> dict[str, OnTask]:
    """The losses of one run on every task.

    Raises:
        InputError: the file is missing or empty, lacks a column, or has a cell that is no finite number.
    """
    rows: dict[str, list[Mapping[str, str]]] = {}
    for row in read_csv(path, COLUMNS):
        rows.setdefault(row["task"], []).append(row)
    if not rows:
        raise InputError(f"{path} has no losses: {AGAIN}.")
    found = {}
    for task, of_task in rows.items():
        try:
            losses = np.array([[float(row[name]) for name in ("before", "after")] for row in of_task])
        except ValueError as error:
            raise InputError(
                f"{path} has a loss of the task {task} that is not a number ({error}): {AGAIN}."
            ) from error
        if not np.isfinite(losses).all():
            raise InputError(f"{path} has a loss of the task {task} that is not finite: {AGAIN}.")
        found[task] = OnTask(tuple(row["id"] for row in of_task), losses[:, 0], losses[:, 1])
    return found
