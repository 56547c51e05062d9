"""What is said where something cannot be written: a full disk, a quota, a file system or folder for reading only.

Libraries tell of it in many ways, and some not at all.
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
"""What the system's refusals to write mean; what helps is said of all its refusals in one place (`errors.FIXES`)."""

SURELY_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Those that no reading meets."""

TOLD = re.compile(r"(?:os error|errno|code:) ?(\d+)", re.IGNORECASE)
"""How libraries that are not Python's own write the number of an error into their message."""

PROBED_BYTES = 1 << 14
"""What is tried to be written where a library has not said why it failed: its own file has taken what there was."""


@contextmanager
def written(place: Path) -> Iterator[None]:
    """Turn a failure to write below `place` within the block into one sentence.

    Raises:
        InputError: naming the file, the file system, and what helps.
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
    """What a failed attempt to write below `place` says to a user; empty where it has another cause."""
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
    """The number of the system's refusal that an error or one of its causes tells, and the file that it names."""
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
    """The number of the system's refusal to write something at a place; None where it lets one."""
    try:
        with tempfile.TemporaryFile(dir=_existing(place)) as file:
            file.write(bytes(PROBED_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno if error.errno in REASONS else None
    return None


def _existing(place: Path) -> Path:
    """The nearest folder that there is."""
    place = place.absolute()
    while not place.is_dir():
        place = place.parent
    return place


def _mount(place: Path) -> Path:
    """The file system that a place is on, by its mount point."""
    found = _existing(place)
    while not found.is_mount():
        found = found.parent
    return found
