"""The result of an analysis: the columns and rows of a CSV file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Table:
    """A tidy table; `rows` has one value for each of `columns`."""

    columns: Sequence[str]
    rows: Iterable[Sequence[Any]]
