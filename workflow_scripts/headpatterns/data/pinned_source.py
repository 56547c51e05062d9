"""The files at a source of a pinned dataset, and the messages if the source does not provide them."""

import urllib.parse
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from headpatterns.data import archives, hub, pinned
from headpatterns.data.pinned import ARCHIVE, Pinned
from headpatterns.data.transfers import Remote, size_of
from headpatterns.errors import InputError, first_line


def look(source: Pinned) -> dict[str, Remote]:
    """The files to fetch by name, with the errors of the client.

    Raises:
        InputError: the source lacks some of them.
    """
    if not source.repository:
        name = source.address.rpartition("/")[2]
        return {name: Remote(source.address, size_of(source.address), source.checksum, pinned.NAME)}
    from huggingface_hub import constants

    found = hub.described("dataset", source.repository, source.version, source.endpoint)
    names = _wanted(source, found.files)
    place = f"{source.endpoint or constants.ENDPOINT}/datasets/{found.id}/resolve/{source.version}"
    addresses = {name: f"{place}/{urllib.parse.quote(name)}" for name in names}
    by, login = source.address, source.on_the_hub
    return {name: Remote(addresses[name], found.files[name], found.checksums[name], by, login) for name in names}


def _wanted(source: Pinned, there: Iterable[str]) -> list[str]:
    """The files at a source that the table names, in the order of the table."""
    there, found = list(there), dict[str, None]()
    for pattern in source.files:
        names = sorted(pinned.matching(there, pattern))
        if not names:
            has = ", ".join(there[:5])
            raise InputError(
                f"{source} has no file {pattern} at {source.version} (it has {has}, ...): {source.instead}, or fix "
                f"{pinned.NAME}."
            )
        found.update(dict.fromkeys(names))
    return list(found)


def is_archive(source: Pinned) -> bool:
    """Whether the address is a zip that contains the files."""
    return not source.repository and source.address.endswith(ARCHIVE)


def unpack(source: Pinned, folder: Path, output: Path) -> Path:
    """Extract the files of a dataset from the zip in a folder.

    Raises:
        InputError: the file is not a zip, or lacks some of them.
    """
    [archive] = folder.iterdir()
    try:
        with zipfile.ZipFile(archive) as opened:
            archives.extract(opened, _wanted(source, opened.namelist()), output, str(source))
    except zipfile.BadZipFile as error:
        archive.unlink()
        raise InputError(
            f"{source} is not a valid zip ({first_line(error)}): run again, or {source.instead}."
        ) from error
    return output


@contextmanager
def said(source: Pinned) -> Iterator[None]:
    """Convert errors of the client to an InputError with advice for the user."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # of dozens of types, as with the hub
        raise InputError(_sentence(source, error)) from error


def _sentence(source: Pinned, error: Exception) -> str:
    if reason := hub.lost(error):
        return f"{source} cannot be fetched ({reason}): {source.instead}; complete files are kept."
    if isinstance(error, OSError) and error.errno:
        return f"the files of {source} cannot be written ({error.strerror}): free space on the disk of the results."
    if source.repository and source.on_the_hub:
        return hub.sentence("dataset", source.repository, source.version, error)
    return f"{source} cannot be fetched: {first_line(error)}; try again, or {source.instead}."
