"""Paths that a user wrote: environment variables, globs, and the content of their files."""

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

from headpatterns.data.sources import labels_file


def expand(path: str) -> str:
    """A path with its environment variables and `~` replaced; variables that are not set stay."""
    return os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111 - globs are no paths


def unset_variable(path: str) -> str:
    """The first environment variable of a path that is not set; empty without any."""
    left = re.search(r"\$\{?(\w+)\}?", expand(path))
    return left[1] if left else ""


def matches(pattern: str) -> list[str]:
    """Files and folders that match a glob, `**` included; an existing path is itself, even with brackets."""
    if os.path.exists(pattern):  # noqa: PTH110 - globs are no paths
        return [pattern]
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - absolute patterns


def with_labels(paths: Iterable[str]) -> list[str]:
    """Paths of raw rows, each followed by its file of labels if there is one."""
    found = [(path, str(labels_file(Path(path)))) for path in paths]
    return [path for rows, labels in found for path in ((rows, labels) if Path(labels).is_file() else (rows,))]


def unnameable(path: str) -> bool:
    """Whether a path has braces, which Snakemake reads as a wildcard and cannot escape."""
    return re.search(r"\{\s*[.\w]+\s*(?:,[^{}]*)?\}", path) is not None


def everything(paths: Iterable[str]) -> list[Path]:
    """The files that match some paths and globs, including files below folders."""
    found = [Path(file) for path in paths for file in matches(path)]
    below = [file for folder in found if folder.is_dir() for file in folder.rglob("*") if file.is_file()]
    return sorted({*below, *(file for file in found if file.is_file())})


def stamp(file: Path) -> list[int]:
    """Values that show, without reading a file, that it is unchanged; programs can set all of them but the last."""
    told = file.stat()
    return [told.st_size, told.st_mtime_ns, told.st_ino, told.st_ctime_ns]
