"""Whether another Snakemake is at work in a folder, which Snakemake's own locks do not tell once it is killed.

They are files that stay then. So each Snakemake also holds a lock on one file, shared with others, which the system
takes back with the process.
"""

import fcntl
import os
import shutil
import socket
from pathlib import Path

ELSEWHERE = b"jobs on other machines"
"""What the file says where jobs may live on without the Snakemake that submitted them."""

_held: list[int] = []
"""Handles of what this process holds, open to its end."""


def join(holders: Path, locks: Path) -> bool:
    """Hold the file `holders` from now on; remove what lies in the folder `locks` if it is of killed processes alone.

    It stays where this cannot be known: somebody else holds the file, the file system has no locks, or the last one who
    held it was on another machine, whose lock need not show here, or had jobs there.

    Returns:
        Whether there was something to remove.
    """
    holders.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(holders, os.O_RDWR | os.O_CREAT, 0o644)
    _held.append(handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        removed = _remove_stale(holders, locks)
    except BlockingIOError:
        removed = False
    except OSError:  # a file system without locks
        return False
    fcntl.flock(handle, fcntl.LOCK_SH)
    return removed


def _remove_stale(holders: Path, locks: Path) -> bool:
    """Remove the locks where nobody else holds the file, unless they may be of another machine."""
    here = socket.gethostname().encode()
    left = locks.is_dir() and any(locks.iterdir())
    known = holders.read_bytes() == here
    if left and known:
        shutil.rmtree(locks)
    if known or not left:
        holders.write_bytes(here)
    return left and known


def have_jobs_elsewhere(holders: Path) -> None:
    """Say that jobs may live on without this process, which no later one can see."""
    holders.write_bytes(ELSEWHERE)
