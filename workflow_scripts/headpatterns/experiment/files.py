"""Paths that a user wrote: environment variables, globs, and the content of what lies there."""

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

from headpatterns.data.sources import labels_file


def expand(path: str) -> str:
    """A path with its environment variables and `~` filled in; variables that are not set stay."""
    return os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111 - globs are no paths


def unset_variable(path: str) -> str:
    """The first environment variable of a path that is not set; empty without any."""
    left = re.search(r"\$\{?(\w+)\}?", expand(path))
    return left[1] if left else ""


def matches(pattern: str) -> list[str]:
    """Files and folders that a glob leads to, `**` included; what exists is itself, brackets or not."""
    if os.path.exists(pattern):  # noqa: PTH110 - globs are no paths
        return [pattern]
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - absolute patterns


def with_labels(paths: Iterable[str]) -> list[str]:
    """Paths of raw rows, each followed by the file of labels that is read beside it where there is one."""
    found = [(path, str(labels_file(Path(path)))) for path in paths]
    return [path for rows, labels in found for path in ((rows, labels) if Path(labels).is_file() else (rows,))]


def unnameable(path: str) -> bool:
    """Whether a path has braces that Snakemake takes for a wildcard, which it has no way to escape."""
    return re.search(r"\{\s*[.\w]+\s*(?:,[^{}]*)?\}", path) is not None


def everything(paths: Iterable[str]) -> list[Path]:
    """The files that some paths and globs lead to, those below folders included."""
    found = [Path(file) for path in paths for file in matches(path)]
    below = [file for folder in found if folder.is_dir() for file in folder.rglob("*") if file.is_file()]
    return sorted({*below, *(file for file in found if file.is_file())})


def stamp(file: Path) -> list[int]:
    """What tells without reading a file that it is as it was: of its times, a program may set all but the last."""
    told = file.stat()
    return [told.st_size, told.st_mtime_ns, told.st_ino, told.st_ctime_ns]
