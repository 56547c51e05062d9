"""Tidy tables as CSV files: one observation a row, and the same numbers always give the same bytes."""

import csv
import numbers
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from headpatterns.errors import InputError
from headpatterns.io import atomic_path


def write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows (one value a column) under a header, atomically.

    Floats get ten significant digits: more than float32 patterns carry, and few enough to hide in which order a
    library added up its sums. An undefined number is `nan`.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(value) for value in row] for row in rows)


def read(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file as text, with at least the given columns.

    Raises:
        InputError: the file is missing, is no CSV in UTF-8, lacks a column, or a row has too few or too many fields.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a CSV table ({error}): make it again.") from error
    missing = [column for column in columns if column not in header]
    if missing:
        raise InputError(f"{path} lacks the column {missing[0]!r}: its header must have {','.join(columns)}.")
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise InputError(f"{path}, row {number}: the number of fields differs from the header's: fix that row.")
    return rows


def _cell(value: Any) -> Any:
    """Floats as text of ten digits, minus zero as 0; everything else as it is."""
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        return f"{float(value) + 0.0:.10g}"
    return value
