"""Writing files so that a half-written one is never mistaken for a result."""

import glob
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headpatterns.errors import InputError

if TYPE_CHECKING:
    import pyarrow

IDENTITY = "identity.json"
"""What says to which work an unfinished folder belongs."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well, remove it when it fails.

    The temporary path keeps the suffix of `path`, because many writers choose the format by it. The block may write a
    file or make a folder there; an existing file or folder at `path` is replaced. What a killed writer of the same path
    left behind is removed: one path has one writer at a time.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".[0-9]*.{glob.escape(path.name)}"):
        remove(leftover)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
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
    """Remove a file or a whole folder; do nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically; keys keep their order so that equal content gives equal bytes."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_parquet(path: Path) -> "pyarrow.Table":
    """Read a parquet file.

    Raises:
        InputError: it is none.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_table(path)
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path} is not a readable parquet file ({error}): write it again.") from error


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
