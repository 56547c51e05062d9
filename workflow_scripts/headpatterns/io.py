"""Files of the workflow, written so that an incomplete file is never used as a result.

Tables are tidy CSV with one observation per row, and the same numbers always give the same bytes.
"""

import csv
import glob
import hashlib
import json
import numbers
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headpatterns import storage
from headpatterns.errors import InputError, first_line

if TYPE_CHECKING:
    import pyarrow

LFS_POINTER = b"version https://git-lfs"
"""The start of a pointer to a file that Git LFS has not fetched."""

READ = 2**20
"""Bytes of a column that are read at once; without this size, a parquet file is read by whole row groups."""

IDENTITY = "identity.json"
"""The file that identifies the work of an unfinished folder."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; rename it to `path` after the block, or remove it after an error.

    The temporary path keeps the suffix of `path`, because many writers choose the format by it. The block may write a
    file or make a folder there; an existing file or folder at `path` is replaced. Files that a killed writer of the
    same path left are removed, because a path has only one writer at a time.

    Raises:
        InputError: the disk is full, or writing there is not allowed.
    """
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        with storage.written(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(path)
            yield temporary
            if temporary.is_dir() or path.is_dir():
                remove(path)
            temporary.replace(path)
    finally:
        remove(temporary)


def unfinished(output: Path) -> Path:
    """The folder of long work on `output` until it is complete."""
    return output.with_name(f"{output.name}.unfinished")


def open_unfinished(output: Path, identity: str) -> Path:
    """Make the folder `unfinished(output)`.

    Files that an interrupted job left there are kept if they belong to the same work, according to `identity` (a
    fingerprint of all inputs), and otherwise removed.
    """
    folder = unfinished(output)
    mark = folder / IDENTITY
    if folder.is_dir() and not (mark.is_file() and read_json(mark) == identity):
        remove(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(mark, identity)
    return folder


def remove(path: Path) -> None:
    """Remove a file or a whole folder; do nothing if there is none.

    A folder disappears at once: a folder that a killed process removed only partly would look complete.
    """
    if path.is_dir() and not path.is_symlink():
        aside = path.with_name(f".{os.getpid()}.removed.{path.name}")
        path.rename(aside)
        shutil.rmtree(aside)
    elif path.exists() or path.is_symlink():  # a read-only file system refuses even a call without effect
        path.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove hidden files that killed processes left next to a path: partly written, or partly removed."""
    for leftover in path.parent.glob(f".[0-9]*.{glob.escape(path.name)}"):
        remove(leftover)


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is a pointer of Git LFS that was cloned without its file."""
    with path.open("rb") as file:
        return file.read(len(LFS_POINTER)) == LFS_POINTER


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically; keys keep their order so that equal content gives equal bytes."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, content: str) -> None:
    """Write a text in UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(content, encoding="utf-8")


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> "pyarrow.Table":
    """Read a parquet file, all of it or some columns.

    Raises:
        InputError: the file is not parquet, or lacks one of the columns.
    """
    with _parquet(path, columns or ()) as file:
        # Selected columns are in the requested order, rather than in that of the file.
        return file.read(columns=list(columns)).select(list(columns)) if columns else file.read()


def parquet_batches(path: Path, columns: Sequence[str], rows: int) -> Iterator[list[dict[str, Any]]]:
    """Some columns of a parquet file, `rows` rows at a time; no whole row group is in memory.

    Raises:
        InputError: as `read_parquet`.
    """
    with _parquet(path, columns) as file:
        for batch in file.iter_batches(batch_size=rows, columns=list(columns)):
            yield batch.to_pylist()


def parquet_columns(path: Path) -> list[str]:
    """Names of the columns of a parquet file.

    Raises:
        InputError: as `read_parquet`.
    """
    with _parquet(path, ()) as file:
        return list(file.schema_arrow.names)


@contextmanager
def _parquet(path: Path, columns: Sequence[str]) -> "Iterator[pyarrow.parquet.ParquetFile]":
    """An open parquet file that has these columns; errors of reading it within the block become one sentence."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path, buffer_size=READ) as file:
            if lacking := [column for column in columns if column not in file.schema_arrow.names]:
                raise InputError(f"{path} lacks the column {lacking[0]!r}: it must have {', '.join(columns)}.")
            yield file
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} is not a readable parquet file ({error}): write it again.") from error


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: it is none.
        OSError: it cannot be read.
    """
    content = Path(path).read_bytes()
    if content.startswith(LFS_POINTER):
        raise InputError(f"{path} is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`.")
    try:
        return json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # of JSON, or of UTF-8
        raise InputError(f"{path} is not valid JSON ({first_line(error)}): fix it, or make it again.") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file of names and values.

    Raises:
        InputError: it is none.
        OSError: it cannot be read.
    """
    found = read_json(path)
    if not isinstance(found, dict):
        raise InputError(f"{path} is not a JSON object: fix it, or make it again.")
    return found


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows (one value per column) under a header, atomically.

    Floats have ten significant digits. This is more than the precision of float32 patterns, and hides differences from
    the order in which a library adds numbers. An undefined number is `nan`.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        # Readers also end a row at a carriage return, which the writer does not quote by itself.
        quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(columns)
        for row in rows:
            cells = [_cell(value) for value in row]
            (quoted if any("\r" in str(cell) for cell in cells) else writer).writerow(cells)


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file as text, with at least the given columns.

    Raises:
        InputError: the file is missing, is not CSV in UTF-8, lacks a column, or a row has too few or too many fields.
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
    """Floats as text with ten digits, minus zero as 0; other values are unchanged."""
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        return f"{float(value) + 0.0:.10g}"
    return value
