"""Files of the workflow, written so that a half-written one is never mistaken for a result.

Tables are tidy CSV: one observation a row, and the same numbers always give the same bytes.
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
"""What a file begins with that stands for another, which Git LFS has not fetched."""

READ = 2**20
"""Bytes of a column that are read at once: without a size, a parquet file is read a row group at a time."""

IDENTITY = "identity.json"
"""What says to which work an unfinished folder belongs."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well, remove it when it fails.

    The temporary path keeps the suffix of `path`, because many writers choose the format by it. The block may write a
    file or make a folder there; an existing file or folder at `path` is replaced. What a killed writer of the same path
    left behind is removed: one path has one writer at a time.

    Raises:
        InputError: the disk is full, or nothing may be written there.
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
    """The folder in which long work on `output` lies until it is complete."""
    return output.with_name(f"{output.name}.unfinished")


def open_unfinished(output: Path, identity: str) -> Path:
    """Make the folder `unfinished(output)`.

    What an interrupted job left there is kept if it belongs to the same work, as `identity` (a fingerprint of all that
    goes into it) says, and removed otherwise.
    """
    folder = unfinished(output)
    mark = folder / IDENTITY
    if folder.is_dir() and not (mark.is_file() and read_json(mark) == identity):
        remove(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(mark, identity)
    return folder


def remove(path: Path) -> None:
    """Remove a file or a whole folder; do nothing where there is none.

    A folder is gone at once: one that a killed process had half removed would pass for a whole one.
    """
    if path.is_dir() and not path.is_symlink():
        aside = path.with_name(f".{os.getpid()}.removed.{path.name}")
        path.rename(aside)
        shutil.rmtree(aside)
    elif path.exists() or path.is_symlink():  # a file system for reading only refuses even what does nothing
        path.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes have left hidden beside a path: half-written, or half removed."""
    for leftover in path.parent.glob(f".[0-9]*.{glob.escape(path.name)}"):
        remove(leftover)


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is a pointer of Git LFS, which was cloned without the file that it stands for."""
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
        InputError: it is none, or lacks one of the columns.
    """
    with _parquet(path, columns or ()) as file:
        # Of some columns, those in the order asked for, and not in the file's.
        return file.read(columns=list(columns)).select(list(columns)) if columns else file.read()


def parquet_batches(path: Path, columns: Sequence[str], rows: int) -> Iterator[list[dict[str, Any]]]:
    """Some columns of a parquet file, `rows` rows at a time: none of its row groups ever lies in memory as a whole.

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
    """An open parquet file that has these columns; what reading it within the block refuses is one sentence."""
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
    """Write rows (one value a column) under a header, atomically.

    Floats get ten significant digits: more than float32 patterns carry, and few enough to hide in which order a
    library added up its sums. An undefined number is `nan`.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        # Readers end a row at a carriage return, too, which the writer leaves bare where it does not end its own rows.
        quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(columns)
        for row in rows:
            cells = [_cell(value) for value in row]
            (quoted if any("\r" in str(cell) for cell in cells) else writer).writerow(cells)


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
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
