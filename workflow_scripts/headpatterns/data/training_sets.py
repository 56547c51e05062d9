"""Lists of samples as CSV files with the columns `dataset` and `id`: training sets, pools, the items of a domain."""

from collections.abc import Iterable
from pathlib import Path

from headpatterns import tidy

COLUMNS = ("dataset", "id")

Sample = tuple[str, str]


def read(path: Path) -> list[Sample]:
    """The samples (dataset, id), in the file's order; further columns are passed over.

    Raises:
        InputError: the file is missing, is no CSV, or lacks a column.
    """
    return [(row["dataset"], row["id"]) for row in tidy.read(path, COLUMNS)]


def write(path: Path, samples: Iterable[Sample]) -> None:
    """Write samples in the order given, atomically."""
    tidy.write(path, COLUMNS, samples)
