"""Run a command on GPUs of this machine that no other such command uses, waiting until enough of them are free.

A cluster binds jobs to GPUs; on a machine without one, jobs that run side by side share them out by this script.
"""

import argparse
import fcntl
import hashlib
import itertools
import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.errors import InputError

LOCKS = "HEADPATTERNS_GPU_LOCKS"
"""Environment variable that names another file of locks than the usual one."""

USUAL_LOCKS = "/tmp/headpatterns-gpus.lock"
"""On the machine's own disk, and the same whatever a user's TMPDIR: all users have to meet in one file."""

PAUSE, NOTICE = 0.5, 60.0
"""Seconds between two looks at the locks, and between two lines that say so."""


def main(arguments: argparse.Namespace) -> None:
    """Become the command, with CUDA_VISIBLE_DEVICES naming its GPUs."""
    if arguments.count > 0:
        choose(arguments.count)
    sys.stdout.flush()
    try:
        os.execvp(arguments.command[0], arguments.command)
    except OSError as error:
        raise InputError(f"{arguments.command[0]} cannot be run ({error.strerror}): fix the command.") from error


def choose(count: int) -> None:
    """Take `count` GPUs and show the command these alone.

    Those of a Slurm job are taken too: several commands may run in it side by side.
    """
    found = gpus()
    if len(found) < count:
        where = "CUDA_VISIBLE_DEVICES names" if "CUDA_VISIBLE_DEVICES" in os.environ else "this machine has"
        raise InputError(f"{count} GPUs are asked for, but {where} {len(found) or 'none'}: ask for fewer.")
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(take(found, count, open_locks()))


def gpus() -> dict[str, str]:
    """The GPUs to choose from: the word by which CUDA knows each, and a name that is its own on this machine.

    Those of CUDA_VISIBLE_DEVICES (indices or UUIDs) where it is set, and otherwise those that nvidia-smi lists.
    Indices are taken for nvidia-smi's, which CUDA counts alike where all GPUs are of one kind. What nvidia-smi does not
    know is named after the Slurm job as well: each job may count its GPUs again.
    """
    listed = ask_nvidia()
    if "CUDA_VISIBLE_DEVICES" not in os.environ:
        return {uuid: uuid for uuid in listed}
    words = [word.strip() for word in os.environ["CUDA_VISIBLE_DEVICES"].split(",")]
    found, job = {}, os.environ.get("SLURM_JOB_ID", "")
    for word in itertools.takewhile(lambda word: word not in ("", "-1", "NoDevFiles"), words):  # as CUDA reads it
        index = int(word) if word.isdigit() else None
        if listed and index is not None and index >= len(listed):
            raise InputError(f"CUDA_VISIBLE_DEVICES names GPU {word}, but this machine has {len(listed)}: fix it.")
        same = [uuid for uuid in listed if uuid.startswith(word)] if index is None else listed[index : index + 1]
        found.setdefault(same[0] if len(same) == 1 else f"{job} {word}", word)
    return {word: name for name, word in found.items()}


def ask_nvidia() -> list[str]:
    """UUIDs of the GPUs of this machine, by index; none where there is no driver."""
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return answer.stdout.split() if answer.returncode == 0 else []


def open_locks() -> int:
    """Open the file of locks so that the command and its children keep it open; the last to close it gives it up.

    It becomes the command's standard input as well: a parent that closes all other files of its children, as
    Python's does, leaves them this one, and they keep the GPUs that they compute on when the parent is killed.
    """
    path = Path(os.environ.get(LOCKS, USUAL_LOCKS))
    how = os.O_RDWR | os.O_NOFOLLOW
    mask = os.umask(0)  # whoever makes the file makes it for every user
    try:
        try:
            locks = os.open(path, how)  # in a folder like /tmp, O_CREAT would be refused for another user's file
        except FileNotFoundError:
            locks = os.open(path, how | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}): name another file in {LOCKS}.") from error
    finally:
        os.umask(mask)
    fcntl.flock(locks, fcntl.LOCK_SH)  # systemd removes no old file from /tmp that has such a lock
    os.dup2(locks, sys.stdin.fileno())
    os.set_inheritable(locks, True)
    return locks


def take(found: dict[str, str], count: int, locks: int) -> list[str]:
    """Lock the first `count` free GPUs, all or none of them, and return their words.

    Of the jobs that choose among the same GPUs one at a time tries, so that one that wants many is not overtaken for
    ever by those that want few.
    """
    turn = place(f"turn: {' '.join(sorted(found.values()))}")
    noticed = float("-inf")
    while True:
        if next_one := lock(locks, turn):
            taken = list(itertools.islice((word for word, name in found.items() if lock(locks, place(name))), count))
            if len(taken) == count:
                unlock(locks, turn)
                return taken
            for word in taken:
                unlock(locks, place(found[word]))
        if time.monotonic() - noticed > NOTICE:
            noticed = time.monotonic()
            others = "" if next_one else ", after other jobs"
            print(f"waiting for {count} free of {len(found)} GPUs{others}", file=sys.stderr, flush=True)
        time.sleep(PAUSE)


def place(name: str) -> int:
    """The byte of the file that stands for a GPU, or for the turn of those who choose among several."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")


def lock(locks: int, byte: int) -> bool:
    """Lock a byte unless somebody else has; the lock belongs to the open file, hence to all who inherit it."""
    try:
        _set(locks, byte, fcntl.F_WRLCK)
    except BlockingIOError:
        return False
    return True


def unlock(locks: int, byte: int) -> None:
    """Give a byte up."""
    _set(locks, byte, fcntl.F_UNLCK)


def _set(locks: int, byte: int, kind: int) -> None:
    # struct flock of Linux: l_type, l_whence, l_start, l_len, l_pid.
    fcntl.fcntl(locks, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--count", type=int, required=True, help="GPUs that the command needs")
    made.add_argument("command", nargs="+", help="the command, after --")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
