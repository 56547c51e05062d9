"""The provenance of a result: code, package versions, machine and the fingerprint of its input."""

import functools
import hashlib
import os
import platform
import subprocess
import sys
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
    """The commit of the working tree, with `-dirty` if it has changes; `unknown` outside a clone."""
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
    """Commit, versions, platform and processor, as stored with every result.

    If PyTorch is in use, its threads and the vector instructions of its kernels are included, because they affect the
    rounding of sums. PyTorch is not imported for this.
    """
    computing = {}
    if torch := sys.modules.get("torch"):
        computing = {"cpu_capability": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads()}
    return {
        "commit": git_commit(),
        "versions": versions(),
        "platform": platform.platform(),
        "processor": processor(),
        **computing,
    }


@functools.cache
def processor() -> str:
    """The name of the processor, or its architecture if the system does not report a name."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return next(iter(names), platform.machine())


def machine() -> dict[str, Any]:
    """Processor, its cores as counted by the operating system, and memory in GB, if they are known."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {"processor": processor(), "cores": os.cpu_count(), "memory_gb": round(memory, 1)}


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
