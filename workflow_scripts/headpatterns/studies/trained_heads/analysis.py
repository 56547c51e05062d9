"""The share of fine-tuning's gain that remains if only the weights of some heads are trained."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from headpatterns.studies.table import Table
from headpatterns.studies.trained_heads.losses import read_all
from headpatterns.studies.transplant.analysis import ALL_HEADS, Point, rows
from headpatterns.studies.transplant.moved import TRANSPLANT, Moved

COLUMNS = (
    *("model", "task", "seed", "ranking", "k", "heads", "value", "low", "high", "plain"),
    *("least_draw", "largest_draw", "gain"),
)


def compute(
    whole: Sequence[Path],
    alone: Sequence[Path],
    named: Sequence[Sequence[Any]],
    choices: Sequence[Sequence[Any]],
    resamples: int,
    seed: int,
) -> dict[str, Table]:
    """The shares of every run, of means over seeds, and of means over tasks and seeds.

    Args:
        whole: tables of choose_heads, for runs that train all weights.
        alone: tables of trained_losses, for all choices of heads of each of these runs.
        named: model, task and seed of each table in `whole`.
        choices: ranking, draw and number of heads of each choice.
        resamples: bootstrap replicates of the samples.
        seed: seed of the bootstrap.

    Returns:
        `shares`: the gain of a run that trains some heads / the gain of training all weights, by ranking and number of
        heads, with its interval over samples and seeds. For random heads it is the mean over draws, with the least and
        largest draw beside it. `gain` is the gain of training all weights, nats per response token.

    Raises:
        InputError: a table cannot be used, or two do not fit each other.
    """
    found = read_all(whole, alone, named, choices)
    # In the form of moved heads, trained heads have one direction.
    of_one = ((*row[:3], *row[4:]) for row in rows(found, points, resamples, seed))
    return {"shares": Table(COLUMNS, of_one)}


def points(like: Moved) -> list[Point]:
    """The points that have a share: each ranking with each number of heads, and all heads."""
    found = list(product([TRANSPLANT], like.rankings, like.sizes))
    return [*found, (TRANSPLANT, ALL_HEADS, like.heads)]
