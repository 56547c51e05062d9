"""The losses with heads moved between a model and its run: the tables of transplant_heads, read and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from headpatterns.errors import InputError
from headpatterns.io import read_csv
from headpatterns.statistics import probe_weights

COLUMNS = ("direction", "ranking", "draw", "k", "heads", "id", "loss")
AGAIN = "remove it and run the rule transplant_heads again"

DIRECTIONS = TRANSPLANT, REVERT = ("transplant", "revert")
NONE, RANDOM = "none", "random"

Key = tuple[str, str, int]
"""Model, task and seed of a run."""
Choice = tuple[str, str, int, int]
"""Direction, ranking, draw and number of heads."""


@dataclass(frozen=True)
class Moved:
    """The effect of moving heads on the samples of a run.

    Attributes:
        heads: number of heads of the model.
        ids: ids of the samples.
        losses: losses of the samples, [samples], by choice of heads.
    """

    heads: int
    ids: tuple[str, ...]
    losses: Mapping[Choice, Float64[np.ndarray, " samples"]]

    @property
    def sizes(self) -> list[int]:
        """Numbers of heads of the rankings, ascending."""
        return sorted({k for _, ranking, _, k in self.losses if ranking != NONE})

    @property
    def rankings(self) -> list[str]:
        """The criteria by which heads were ranked, `random` last."""
        return list(dict.fromkeys(ranking for _, ranking, _, _ in self.losses if ranking != NONE))

    @property
    def draws(self) -> list[int]:
        """Numbers of the random orders."""
        return sorted({draw for _, ranking, draw, _ in self.losses if ranking == RANDOM})

    def at(self, direction: str, ranking: str, draw: int, k: int) -> Float64[np.ndarray, " samples"]:
        """The losses of a choice; for no head and for all heads the order does not matter."""
        whole = k in (0, self.heads)
        return self.losses[direction, NONE if whole else ranking, 0 if whole else draw, k]

    def gain(self, weights: Float64[np.ndarray, "replicates samples"]) -> Float64[np.ndarray, " replicates"]:
        """How far the run lowers the mean loss, [1 + B]."""
        return np.asarray(weights @ (self.at(TRANSPLANT, NONE, 0, 0) - self.at(REVERT, NONE, 0, 0)))

    def share(
        self, choice: Choice, weights: Float64[np.ndarray, "replicates samples"]
    ) -> Float64[np.ndarray, " replicates"]:
        """The share of the gain that moves with some heads, [1 + B]; NaN where the run gains nothing.

        For a transplant it is the gain of the model with these heads; for a reversion the loss of the run without them.
        """
        direction, ranking, draw, k = choice
        gain, without = self.gain(weights), self.at(direction, NONE, 0, 0)
        moved = weights @ (self.at(direction, ranking, draw, k) - without)
        share = (-moved if direction == TRANSPLANT else moved) / np.where(gain > 0, gain, np.nan)
        return share if gain[0] > 0 else np.full_like(share, np.nan)


def read_all(paths: Sequence[Path], named: Sequence[Sequence[Any]]) -> dict[Key, Moved]:
    """The effect of moving heads in every run.

    Raises:
        InputError: as `read`, or the heads of two runs of one model were not chosen alike.
    """
    found: dict[Key, Moved] = {}
    first: dict[str, tuple[Moved, Path]] = {}
    for path, (model, task, seed) in zip(paths, named, strict=True):
        found[model, task, int(seed)] = own = read(path)
        like, other = first.setdefault(model, (own, path))
        if own.heads != like.heads or list(own.losses) != list(like.losses):
            raise InputError(f"{path} and {other} have different choices of heads: {AGAIN}.")
    return found


def read(path: Path) -> Moved:
    """The effect of moving heads in one run.

    Raises:
        InputError: the file is missing or empty, lacks a column or a sample, or has a cell that is no number.
    """
    losses: dict[Choice, dict[str, float]] = {}
    heads: set[int] = set()
    for row in read_csv(path, COLUMNS):
        try:
            choice = (row["direction"], row["ranking"], int(row["draw"]), int(row["k"]))
            heads.add(int(row["heads"]))
            losses.setdefault(choice, {})[row["id"]] = float(row["loss"])
        except ValueError as error:
            raise InputError(
                f"{path} has a row that is not a choice of heads with a loss ({error}): {AGAIN}."
            ) from error
    if not losses:
        raise InputError(f"{path} has no losses: {AGAIN}.")
    ids = tuple(next(iter(losses.values())))
    arrays = {choice: np.array(list(of_samples.values())) for choice, of_samples in losses.items()}
    ends = {(direction, NONE, 0, k) for direction in DIRECTIONS for k in (0, max(heads))}
    whole = (
        all(tuple(of_samples) == ids for of_samples in losses.values()) and ends <= losses.keys() and len(heads) == 1
    )
    if not whole or not np.isfinite(list(arrays.values())).all():
        raise InputError(f"{path} lacks samples for a choice of heads, or has a loss that is not finite: {AGAIN}.")
    return Moved(heads.pop(), ids, arrays)


def weights_of(moved: Moved, task: str, resamples: int, seed: int) -> Float64[np.ndarray, "replicates samples"]:
    """Weights of the samples in the estimate and in its bootstrap replicates; seeds of a task share them."""
    return probe_weights(len(moved.ids), f"{task}, heads moved", resamples, seed)
