"""Where a result comes from: code, package versions, machine and the fingerprint of its input."""

import functools
import hashlib
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from headpatterns import __version__

PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "deepspeed",
    "tokenizers",
    "datasets",
    "numpy",
    "scipy",
)


@functools.cache
def git_commit() -> str:
    """The commit of the working tree, with `-dirty` where it has changes; `unknown` outside a clone."""
    try:
        answer = subprocess.run(
            ["git", "-C", Path(__file__).parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.strip()


@functools.cache
def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Versions of Python, of this package, and of each of `packages` that is installed."""
    found = {"python": platform.python_version(), "headpatterns": __version__}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def environment() -> dict[str, Any]:
    """Commit, versions and platform, as stored beside every result."""
    return {"commit": git_commit(), "versions": versions(), "platform": platform.platform()}


def fingerprint(*parts: str | bytes | Path) -> str:
    """Hexadecimal SHA-256 of texts, bytes and the contents of files, in order; 16 digits."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            with part.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        else:
            digest.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    return digest.hexdigest()[:16]
