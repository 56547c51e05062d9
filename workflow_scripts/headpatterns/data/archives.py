"""Extract requested files of a zip into one folder, if the disk has room for them."""

import shutil
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from headpatterns.errors import InputError

GB = 1e9


def extract(archive: zipfile.ZipFile, names: Iterable[str], output: Path, what: str) -> None:
    """Write members of an archive below a folder, under their names.

    Args:
        archive: an open zip.
        names: of the members.
        output: the folder.
        what: a description of the archive.

    Raises:
        InputError: a member would lie outside the folder, is a link or a device, or all of them are larger than the
            disk has room for.
    """
    members = [archive.getinfo(name) for name in names]
    for member in members:
        _check(member, what)
    size = sum(member.file_size for member in members)
    output.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(output).free
    if size > free:
        raise InputError(
            f"{what} unpacks to {size / GB:.1f} GB, but the disk of {output} has {free / GB:.1f} GB free: free "
            "space there."
        )
    for member in members:
        archive.extract(member, output)


def _check(member: zipfile.ZipInfo, what: str) -> None:
    """Refuse a member that is not a plain file below the folder."""
    path = PurePosixPath(member.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise InputError(
            f"{what} has the member {member.filename}, whose path leads out of the archive: use another source."
        )
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise InputError(f"{what} has the member {member.filename}, which is not a plain file: use another source.")
