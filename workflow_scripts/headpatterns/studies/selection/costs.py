"""The cost of each selection method per candidate: seconds, and the bytes stored to rank it.

There are three parts: `read`, passes of a model over the candidate; `rank`, from the stored values to the ranking; and
for LESS `warm_up`, the training before. Times are those of the jobs, with their threads. No result depends on them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from headpatterns.attribution import files
from headpatterns.errors import InputError
from headpatterns.io import read_csv, read_json
from headpatterns.studies.selection import gradients
from headpatterns.studies.selection.candidates import ALONE, STATES
from headpatterns.studies.table import Table

COLUMNS = ("method", "part", "bytes", "seconds")
KEY = ("model", "domain", "seed")
READ, RANK, WARM_UP = "read", "rank", "warm_up"
BASE_PATTERNS = ("base-pattern", "mid-perplexity", "top-perplexity", "ifd")
"""Methods whose inputs are computed together with the base model's patterns, which include the losses."""

PATTERN_BYTES, LOSS_BYTES = 4, 8
"""Bytes of a head's level, and of a loss."""


def rows(
    ranking: Mapping[str, float], candidates: int, patterns: Path, step: int, heads: int, features: Path | None
) -> Iterator[tuple[str, str, int, float]]:
    """Rows of `COLUMNS` of each method; a time that was not recorded is NaN.

    Args:
        ranking: seconds that ranking took by method.
        candidates: number of ranked samples.
        patterns: folder of the patterns of the samples.
        step: step of the probe model in this folder; the base model has step 0.
        heads: number of heads of the model.
        features: folder of the base model's features of the samples, None if no method reads it.
    """
    told = {of: read_json(files.about(patterns, of).path) for of in (0, step)}
    reading = {of: float(one.get("seconds", "nan")) / len(one["ids"]) for of, one in told.items()}
    for method, seconds in ranking.items():
        yield from _of_method(method, heads, reading[0 if method in BASE_PATTERNS else step], features)
        yield method, RANK, 0, seconds / candidates


def _of_method(method: str, heads: int, reading: float, features: Path | None) -> Iterator[tuple[str, str, int, float]]:
    """What is read of a candidate for a method."""
    if method == "bm25":
        yield method, READ, 0, 0.0
    elif method == "rds" and features:
        yield method, READ, *_told(features, STATES)
    elif method == "ifd" and features:
        kept, seconds = _told(features, ALONE)
        yield method, READ, LOSS_BYTES + kept, reading + seconds
    elif method == gradients.NAME and features:
        about = gradients.load(features, gradients.POOL)
        told = read_json(about.path)["seconds"]
        yield method, READ, about.values.nbytes // len(about.ids), told[gradients.POOL] / len(about.ids)
        yield method, WARM_UP, 0, told["warm_up"] / len(about.ids)
    elif method.endswith("perplexity"):
        yield method, READ, LOSS_BYTES, reading
    else:
        yield method, READ, PATTERN_BYTES * heads, reading


def _told(features: Path, part: str) -> tuple[int, float]:
    """Bytes and seconds a sample of what was read of the pools' file."""
    import numpy as np

    told = read_json(features / f"{gradients.POOL}.json")
    array = np.load(features / f"{gradients.POOL}.{part}.npy", mmap_mode="r", allow_pickle=False)
    return array.nbytes // len(array), float(told.get("seconds", {}).get(part, "nan")) / len(array)


def compute(costs: Sequence[Path], named: Sequence[Sequence[Any]]) -> dict[str, Table]:
    """The costs of all selections in one table.

    Args:
        costs: CSV files of select_samples.
        named: model, domain and seed of each.

    Returns:
        `costs`: for each method and part bytes and seconds a candidate.

    Raises:
        InputError: a file cannot be used, or there are not as many names.
    """
    if len(costs) != len(named):
        raise InputError(
            f"there are {len(costs)} tables of costs for {len(named)} selections: give one table for each selection."
        )
    found = [
        (*key, *(row[column] for column in COLUMNS))
        for path, key in zip(costs, named, strict=True)
        for row in read_csv(path, COLUMNS)
    ]
    return {"costs": Table((*KEY, *COLUMNS), found)}
