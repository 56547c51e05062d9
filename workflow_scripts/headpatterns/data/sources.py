"""Raw dataset files from any source: files, folders and globs, read row by row.

This module does not use the network: a dataset of the Hugging Face hub is a parquet file with the hub's columns.
"""

import functools
import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from headpatterns.data import formats
from headpatterns.data.records import Row
from headpatterns.errors import InputError, first_line
from headpatterns.io import read_json


def expand(paths: Iterable[str | Path]) -> list[Path]:
    """Every raw file of `paths`, each once, sorted within each path.

    A path may be a file, a folder or a glob, in which `**` crosses folders. A folder gives all files below it with a
    known suffix (MATH is a tree of files with one problem each), or the files of a saved dataset. An existing path is
    never read as a glob.

    Raises:
        InputError: a path leads to no file, or to a file of unknown suffix.
    """
    found: dict[Path, None] = {}
    for path in map(str, paths):
        files = _files_of(path)
        if not files:
            raise InputError(f"{path} has no file of raw rows: give a file, a folder or a glob of {formats.KNOWN}.")
        found.update(dict.fromkeys(files))
    return list(found)


def _files_of(path: str) -> list[Path]:
    given = Path(path)
    if given.is_file():
        if formats.suffix(given) is None:
            raise InputError(f"{path} has a suffix that cannot be read: use one of {formats.KNOWN}.")
        return [given]
    if given.is_dir():
        if saved := _saved(given):
            return saved
        candidates = [given / below for below in sorted(_visible(given))]
    else:
        candidates = sorted(map(Path, glob.glob(path, recursive=True)))  # noqa: PTH207
    return [file for file in candidates if formats.suffix(file) is not None and file.is_file()]


def _saved(folder: Path) -> list[Path]:
    """The Arrow files of a dataset that `datasets` saved in a folder; empty if there is none.

    Raises:
        InputError: the folder has several splits.
    """
    if (folder / "dataset_dict.json").is_file():
        splits = ", ".join(sorted(path.parent.name for path in folder.glob("*/state.json")))
        raise InputError(f"{folder} has a dataset with the splits {splits}: give the folder of one of them.")
    state = folder / "state.json"
    if not (state.is_file() and (folder / "dataset_info.json").is_file()):
        return []
    try:
        names = [one["filename"] for one in read_json(state)["_data_files"]]
        outside = next((name for name in names if Path(name).name != name or name == ".."), None)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{state} is not what `datasets` saves ({first_line(error)}): save the dataset again."
        ) from error
    if outside is not None:
        raise InputError(f"{state} names the file {outside}, which is not in the same folder: save the dataset again.")
    return [folder / name for name in names]


def _visible(folder: Path) -> Iterator[Path]:
    """Paths below `folder`, relative to it, without hidden files and folders (caches of downloaders)."""
    below = (path.relative_to(folder) for path in folder.rglob("*"))
    return (path for path in below if not any(part.startswith(".") for part in path.parts))


def stem(path: Path) -> str:
    """The file's name without its known suffix."""
    return path.name[: len(path.name) - len(formats.suffix(path) or "")]


def read_rows(files: Iterable[Path], csv_columns: formats.Columns = None) -> Iterator[Row]:
    """The rows of `files`, file by file, in their order.

    `csv_columns` names the columns of CSV files without header (MMLU); by default a CSV file starts with its header.

    Raises:
        InputError: a file cannot be read, or a row is malformed; the message names file and line.
    """
    for file in files:
        yield from formats.read(file, csv_columns)


@functools.lru_cache
def labels_file(path: Path) -> Path:
    """The path for the labels of a file of rows: `*-labels.lst` next to it."""
    return path.with_name(f"{stem(path)}-labels.lst")


def companion_labels(path: Path) -> tuple[str, ...] | None:
    """The labels of a `.jsonl` file in `*-labels.lst` next to it, one for each row; None without that file.

    Winogrande stores the answers of rows that have no field `answer` this way.

    Raises:
        InputError: the file of labels is not text, or the two differ in length.
    """
    beside = labels_file(path)
    if not beside.is_file():
        return None
    try:
        labels = tuple(beside.read_text(encoding="utf-8").split())
    except UnicodeDecodeError as error:
        raise InputError(f"{beside} is not UTF-8 text ({error.reason}): copy it from the release again.") from error
    rows = sum(1 for _ in read_rows([path]))
    if len(labels) != rows:
        raise InputError(f"{beside} has {len(labels)} labels for the {rows} rows of {path}: use both from one release.")
    return labels
