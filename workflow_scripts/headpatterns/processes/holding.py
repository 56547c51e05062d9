"""Whether another Snakemake works in a folder. Snakemake's own locks do not show this after it is killed.

These locks are files that stay after a kill. So each Snakemake also has a shared lock on one file, which the system
releases when the process ends.
"""

import fcntl
import os
import shutil
import socket
from pathlib import Path

ELSEWHERE = b"jobs on other machines"
"""Contents of the file if jobs may continue without the Snakemake that submitted them."""

_held: list[int] = []
"""Handles of the files that this process holds, open until its end."""


def join(holders: Path, locks: Path) -> bool:
    """Hold the file `holders` from now on; remove the files in the folder `locks` if they are of killed processes only.

    They stay if this is not known: another process holds the file, the file system has no locks, or the last holder was
    on another machine, whose lock may not be visible here, or had jobs there.

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
    """Remove the locks if no other process holds the file, unless they may belong to another machine."""
    here = socket.gethostname().encode()
    left = locks.is_dir() and any(locks.iterdir())
    known = holders.read_bytes() == here
    if left and known:
        shutil.rmtree(locks)
    if known or not left:
        holders.write_bytes(here)
    return left and known


def have_jobs_elsewhere(holders: Path) -> None:
    """Record that jobs may continue without this process, because later processes cannot see them."""
    holders.write_bytes(ELSEWHERE)
