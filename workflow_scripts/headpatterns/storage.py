"""Messages about failed writes: a full disk, a quota, a read-only file system or folder.

Libraries report such failures in many ways, and some do not report them.
"""

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headpatterns.errors import FIXES, InputError, Interrupted, finished

REASONS = {
    errno.ENOSPC: "no space is left",
    errno.EDQUOT: "your quota is used up",
    errno.EROFS: "it is mounted read-only",
    errno.EACCES: "you may not write there",
    errno.EPERM: "you may not write there",
}
"""The meaning of the system's refusals to write; the fixes of all its refusals are in `errors.FIXES`."""

SURELY_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Refusals that do not occur in reading."""

TOLD = re.compile(r"(?:os error|errno|code:) ?(\d+)", re.IGNORECASE)
"""The number of an error in messages of libraries other than Python's own."""

PROBED_BYTES = 1 << 14
"""Bytes of a test write if a library has not reported the cause of its failure; its own file may fill the disk."""


@contextmanager
def written(place: Path) -> Iterator[None]:
    """Convert a failure to write below `place` within the block to one sentence.

    Raises:
        InputError: naming the file, the file system, and the fix.
    """
    try:
        yield
    except (InputError, Interrupted):
        raise
    except Exception as error:
        if sentence := refusal(error, place):
            raise InputError(sentence) from error
        raise


def check(place: Path) -> None:
    """Refuse a folder in which nothing can be written.

    Raises:
        InputError: as `written`.
    """
    if number := _probed(place):
        raise InputError(_sentence(number, place))


def refusal(error: BaseException, place: Path) -> str:
    """The message to a user about a failed write below `place`; empty if the error has another cause."""
    number, path = _told(error, place)
    if number is None:
        number = _probed(place)
    return _sentence(number, path) if number else ""


def _sentence(number: int, path: Path) -> str:
    return (
        f"{path} cannot be written, because {REASONS[number]} (file system {_mount(path)}): {FIXES[number]}, and run "
        "this again to continue."
    )


def _told(error: BaseException | None, place: Path) -> tuple[int | None, Path]:
    """The number of the system's refusal in an error or one of its causes, and the file that it names."""
    while error is not None:
        number = error.errno if isinstance(error, OSError) else None
        if number is None and (found := TOLD.search(str(error))):
            number = int(found[1])
        named = Path(os.fsdecode(error.filename)) if isinstance(error, OSError) and error.filename else None
        below = named is not None and named.absolute().is_relative_to(place.absolute())
        if number in SURELY_WRITING or (number in REASONS and below):
            return number, Path(finished(str(named))) if named else place
        error = error.__cause__ or error.__context__
    return None, place


def _probed(place: Path) -> int | None:
    """The number of the system's refusal to write at a place; None if writing works."""
    try:
        with tempfile.TemporaryFile(dir=_existing(place)) as file:
            file.write(bytes(PROBED_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno if error.errno in REASONS else None
    return None


def _existing(place: Path) -> Path:
    """The nearest existing folder above a place."""
    place = place.absolute()
    while not place.is_dir():
        place = place.parent
    return place


def _mount(place: Path) -> Path:
    """The file system of a place, by its mount point."""
    found = _existing(place)
    while not found.is_mount():
        found = found.parent
    return found
