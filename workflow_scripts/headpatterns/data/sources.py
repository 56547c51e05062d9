"""Raw dataset files, wherever they come from: JSON lines, JSON, CSV and parquet, read row by row.

Nothing here touches the network: a dataset of the Hugging Face hub arrives as parquet files with the hub's columns.
"""

import csv
import functools
import glob
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from headpatterns.data.records import Row
from headpatterns.errors import InputError
from headpatterns.io import is_lfs_pointer

PARQUET_BATCH = 1024
LONGEST_CSV_FIELD = 2**31 - 1

Columns = tuple[str, ...] | None


def expand(paths: Iterable[str | Path]) -> list[Path]:
    """Every raw file that `paths` mean, each once, sorted within each of them.

    A path may be a file, a folder (all files below it with a known suffix: MATH comes as a tree of one-problem files)
    or a glob, in which `**` crosses folders.

    Raises:
        InputError: a path leads to no file, or to a file of unknown suffix.
    """
    found: dict[Path, None] = {}
    for path in map(str, paths):
        files = _files_of(path)
        if not files:
            raise InputError(f"{path} leads to no raw file: give a file, a folder or a glob of {', '.join(READERS)}.")
        found.update(dict.fromkeys(files))
    return list(found)


def _files_of(path: str) -> list[Path]:
    given = Path(path)
    if given.is_file():
        if suffix(given) is None:
            raise InputError(f"{path} has a suffix that cannot be read: known are {', '.join(READERS)}.")
        return [given]
    if given.is_dir():
        candidates = [given / below for below in sorted(_visible(given))]
    else:
        candidates = sorted(map(Path, glob.glob(path, recursive=True)))  # noqa: PTH207
    return [file for file in candidates if suffix(file) is not None and file.is_file()]


def _visible(folder: Path) -> Iterator[Path]:
    """What lies below `folder`, relative to it, without hidden files and folders (caches of downloaders)."""
    below = (path.relative_to(folder) for path in folder.rglob("*"))
    return (path for path in below if not any(part.startswith(".") for part in path.parts))


def suffix(path: Path) -> str | None:
    """The known suffix that the file's name ends with, or None."""
    return next((known for known in READERS if path.name.lower().endswith(known)), None)


def stem(path: Path) -> str:
    """The file's name without its known suffix."""
    return path.name[: len(path.name) - len(suffix(path) or "")]


def read_rows(files: Iterable[Path], csv_columns: Columns = None) -> Iterator[Row]:
    """The rows of `files`, file by file, in their order.

    `csv_columns` names the columns of header-less CSV files (MMLU); by default a CSV file starts with its header.

    Raises:
        InputError: a file cannot be read, or a row of it is malformed; the sentence names file and line.
    """
    for file in files:
        try:
            if is_lfs_pointer(file):
                raise InputError(f"{file} is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`.")
            yield from READERS[suffix(file) or ""](file, csv_columns)
        except UnicodeDecodeError as error:
            raise InputError(f"{file} is not UTF-8 text ({error.reason} at byte {error.start}): convert it.") from error
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{file} cannot be read ({error}): check that it is complete and readable.") from error


def _json_lines(path: Path, columns: Columns) -> Iterator[Row]:
    opener: Callable[..., Any] = gzip.open if suffix(path) == ".jsonl.gz" else open
    with opener(path, "rt", encoding="utf-8-sig") as lines:
        number = 0
        for line_number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            number += 1
            place = f"{path}:{line_number}"
            yield Row(_object(_parsed(line, place), place), path, number, place)


def _json(path: Path, columns: Columns) -> Iterator[Row]:
    content = path.read_text(encoding="utf-8-sig")
    try:
        parsed = json.loads(content)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise InputError(f"{path}:{error.lineno} is not valid JSON ({error.msg}): fix the file.") from error
        # Several values one after the other: JSON lines under the name .json, as some releases have it.
        yield from _json_lines(path, columns)
        return
    if not isinstance(parsed, list):
        yield Row(_object(parsed, str(path)), path, None, str(path))
        return
    for number, row in enumerate(parsed, start=1):
        place = f"{path}, row {number}"
        yield Row(_object(row, place), path, number, place)


def _parsed(line: str, place: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{place} is not valid JSON ({error.msg} at column {error.colno}): fix the line.") from error


def _object(parsed: Any, place: str) -> dict[str, Any]:
    if not isinstance(parsed, dict):
        raise InputError(f"{place} is a JSON {type(parsed).__name__}, not an object with named fields: fix the file.")
    return parsed


def _csv(path: Path, columns: Columns, delimiter: str = ",") -> Iterator[Row]:
    csv.field_size_limit(LONGEST_CSV_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        names: Sequence[str] = columns or next(reader, [])
        number = 0
        try:
            for cells in reader:
                if not cells:
                    continue
                number += 1
                place = f"{path}:{reader.line_num}"
                if len(cells) != len(names):
                    raise InputError(
                        f"{place} has {len(cells)} columns where {len(names)} are expected ({', '.join(names)}): "
                        "fix the line's quotes."
                    )
                yield Row(dict(zip(names, cells, strict=True)), path, number, place)
        except csv.Error as error:
            raise InputError(f"{path}:{reader.line_num} is not valid CSV ({error}): fix the line.") from error


def _tsv(path: Path, columns: Columns) -> Iterator[Row]:
    return _csv(path, columns, delimiter="\t")


def _parquet(path: Path, columns: Columns) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=PARQUET_BATCH):
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(fields, path, number, f"{path}, row {number}")
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path} is not a valid parquet file ({error}): download it again.") from error


READERS: dict[str, Callable[[Path, Columns], Iterator[Row]]] = {
    ".jsonl": _json_lines,
    ".jsonl.gz": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
}


@functools.lru_cache
def labels_file(path: Path) -> Path:
    """Where the labels of a file of rows would lie: `*-labels.lst` beside it."""
    return path.with_name(f"{stem(path)}-labels.lst")


def companion_labels(path: Path) -> tuple[str, ...] | None:
    """The labels that lie beside a `.jsonl` file as `*-labels.lst`, one for each of its rows; None without that file.

    Winogrande keeps the answers of rows that have no field `answer` this way.

    Raises:
        InputError: the two files differ in length.
    """
    beside = labels_file(path)
    if not beside.is_file():
        return None
    labels = tuple(beside.read_text(encoding="utf-8").split())
    rows = sum(1 for _ in read_rows([path]))
    if len(labels) != rows:
        raise InputError(f"{beside} has {len(labels)} labels for the {rows} rows of {path}: take both of one release.")
    return labels
