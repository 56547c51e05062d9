"""The losses of runs that train heads alone, and of runs that train all weights: tables read and checked.

They have the form of heads that are moved into the base model. A run without heads is the base model, and shares are
relative to the gain of training all weights.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from headpatterns.errors import InputError
from headpatterns.io import read_csv
from headpatterns.studies.trained_heads.settings import ALL
from headpatterns.studies.transplant.moved import NONE, REVERT, TRANSPLANT, Choice, Key, Moved

WHOLE, ALONE = ("id", "before", "after"), ("heads", "id", "loss")
AGAIN = "remove it and run the workflow again"


def read_all(
    whole: Sequence[Path], alone: Sequence[Path], named: Sequence[Sequence[Any]], choices: Sequence[Sequence[Any]]
) -> dict[Key, Moved]:
    """The effect of training heads alone on the samples of every run.

    Args:
        whole: tables of runs that train all weights.
        alone: tables of the choices of heads of each of these runs, one run after another.
        named: model, task and seed of each run.
        choices: ranking, draw and number of heads of each choice, in order.

    Raises:
        InputError: a table cannot be used, or two do not fit each other.
    """
    found: dict[Key, Moved] = {}
    for place, (path, (model, task, seed)) in enumerate(zip(whole, named, strict=True)):
        own = alone[place * len(choices) : (place + 1) * len(choices)]
        found[model, task, int(seed)] = read(path, own, choices)
    return found


def read(whole: Path, alone: Sequence[Path], choices: Sequence[Sequence[Any]]) -> Moved:
    """The effect of training heads alone on the samples of one run.

    Raises:
        InputError: a table is missing or empty, lacks a column or a sample, or has a cell that is no number.
    """
    table = _columns(whole, WHOLE)
    ids = tuple(table["id"])
    losses: dict[Choice, Float64[np.ndarray, " samples"]] = {
        (TRANSPLANT, NONE, 0, 0): _numbers(whole, table["before"]),
        (REVERT, NONE, 0, 0): _numbers(whole, table["after"]),
    }
    heads: dict[str, Path] = {}
    for path, (ranking, draw, k) in zip(alone, choices, strict=True):
        own = _columns(path, ALONE)
        if tuple(own["id"]) != ids:
            raise InputError(f"{path} has other samples than {whole}: {AGAIN}.")
        heads |= dict.fromkeys(own["heads"], path)
        if len(heads) > 1 or not own["heads"][0].isdecimal():
            raise InputError(f"{path} has another number of heads than other runs of the model: {AGAIN}.")
        key = (NONE, 0, int(own["heads"][0])) if ranking == ALL else (str(ranking), int(draw), int(k))
        losses[(TRANSPLANT, *key)] = _numbers(path, own["loss"])
    return Moved(int(next(iter(heads))), ids, losses)


def _columns(path: Path, names: Sequence[str]) -> dict[str, list[str]]:
    """The columns of a table.

    Raises:
        InputError: it has no row.
    """
    rows = read_csv(path, names)
    if not rows:
        raise InputError(f"{path} has no losses: {AGAIN}.")
    return {name: [row[name] for row in rows] for name in names}


def _numbers(path: Path, texts: Sequence[str]) -> Float64[np.ndarray, " samples"]:
    """Losses from their texts.

    Raises:
        InputError: one is no finite number.
    """
    try:
        found = np.array(texts, dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{path} has a loss that is no number ({error}): {AGAIN}.") from error
    if not np.isfinite(found).all():
        raise InputError(f"{path} has a loss that is not finite: {AGAIN}.")
    return found
