"""GPUs of one machine for concurrent commands: each takes free GPUs and keeps them until it ends."""

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

from headpatterns.errors import InputError

LOCKS = "HEADPATTERNS_GPU_LOCKS"
"""Environment variable that names another lock file than the usual one."""

USUAL_LOCKS = "/tmp/headpatterns-gpus.lock"
"""On the machine's own disk, and independent of a user's TMPDIR, because all users must use the same file."""

PAUSE, NOTICE = 0.5, 60.0
"""Seconds between two attempts to take GPUs, and between two messages about waiting."""


def run_on(count: int, command: list[str]) -> None:
    """Replace this process by the command, with the `count` GPUs that it may use in CUDA_VISIBLE_DEVICES.

    Raises:
        InputError: there are fewer GPUs, or the command cannot be run.
    """
    if count > 0:
        take(count)
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise InputError(f"{command[0]} cannot be run ({error.strerror}): fix the command.") from error


def take(count: int) -> None:
    """Wait for `count` free GPUs, lock them, and make only these visible to this process and its children.

    The GPUs of a Slurm job are locked too, because several commands may run in it at the same time.

    Raises:
        InputError: there are fewer GPUs, or the lock file cannot be opened.
    """
    found = visible()
    if len(found) < count:
        where = "CUDA_VISIBLE_DEVICES names" if "CUDA_VISIBLE_DEVICES" in os.environ else "this machine has"
        raise InputError(f"the job asks for {count} GPUs, but {where} {len(found) or 'none'}: ask for fewer.")
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(_wait_for(found, count, _open_locks()))


def visible() -> dict[str, str]:
    """The available GPUs: CUDA's word for each, and a name that is unique on this machine.

    They are those of CUDA_VISIBLE_DEVICES (indices or UUIDs) if it is set, and otherwise those that nvidia-smi lists.
    Indices are nvidia-smi's, which are the same in CUDA if all GPUs are of one kind. If nvidia-smi does not know a GPU,
    its name includes the Slurm job, because each job may count its GPUs from 0.

    Raises:
        InputError: CUDA_VISIBLE_DEVICES names a GPU that nvidia-smi does not list.
    """
    listed = _listed()
    if "CUDA_VISIBLE_DEVICES" not in os.environ:
        return {uuid: uuid for uuid in listed}
    words = [word.strip() for word in os.environ["CUDA_VISIBLE_DEVICES"].split(",")]
    found: dict[str, str] = {}
    job = os.environ.get("SLURM_JOB_ID", "")
    for word in itertools.takewhile(lambda word: word not in ("", "-1", "NoDevFiles"), words):  # as CUDA reads it
        index = int(word) if word.isdigit() else None
        if listed and index is not None and index >= len(listed):
            raise InputError(f"CUDA_VISIBLE_DEVICES names GPU {word}, but this machine has {len(listed)}: fix it.")
        same = [uuid for uuid in listed if uuid.startswith(word)] if index is None else listed[index : index + 1]
        found.setdefault(same[0] if len(same) == 1 else f"{job} {word}", word)
    return {word: name for name, word in found.items()}


def _listed() -> list[str]:
    """UUIDs of the GPUs of this machine, by index; empty if there is no driver."""
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return answer.stdout.split() if answer.returncode == 0 else []


def _open_locks() -> int:
    """Open the lock file so that the command and its children keep it open; the last one to close it releases its GPUs.

    It is also the command's standard input, the only descriptor that Python passes to child processes. So they keep the
    GPUs that they compute on when their parent is killed.
    """
    path = Path(os.environ.get(LOCKS, USUAL_LOCKS))
    how = os.O_RDWR | os.O_NOFOLLOW
    mask = os.umask(0)  # so that the file is for every user
    try:
        try:
            locks = os.open(path, how)  # in a folder such as /tmp, O_CREAT fails for another user's file
        except FileNotFoundError:
            locks = os.open(path, how | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}): set {LOCKS} to another file.") from error
    finally:
        os.umask(mask)
    fcntl.flock(locks, fcntl.LOCK_SH)  # systemd does not remove old files with such a lock from /tmp
    os.dup2(locks, sys.stdin.fileno())
    os.set_inheritable(locks, True)
    return locks


def _wait_for(found: dict[str, str], count: int, locks: int) -> list[str]:
    """Lock the first `count` free GPUs, all or none of them, and return their words.

    Of the commands that choose from the same GPUs, only one tries at a time. So a command that needs many GPUs does not
    wait forever behind commands that need few.
    """
    turn = f"turn: {' '.join(sorted(found.values()))}"
    noticed = float("-inf")
    while True:
        if has_turn := exclusive_lock(locks, turn):
            taken = list(itertools.islice((word for word, name in found.items() if exclusive_lock(locks, name)), count))
            if len(taken) == count:
                release(locks, turn)
                return taken
            for word in taken:
                release(locks, found[word])
        if time.monotonic() - noticed > NOTICE:
            noticed = time.monotonic()
            others = "" if has_turn else ", after other jobs"
            print(f"waiting for {count} free of {len(found)} GPUs{others}", file=sys.stderr, flush=True)
        time.sleep(PAUSE)


def exclusive_lock(locks: int, name: str) -> bool:
    """Lock a name in the open lock file, unless another process has it; the locked byte is the name's hash.

    The lock belongs to the open file, and so to all processes that inherit it. A file with flock for each GPU, as in
    filelock, would not work: a child process inherits one descriptor, but a command may have several GPUs.
    """
    try:
        _set_lock(locks, name, fcntl.F_WRLCK)
    except BlockingIOError:
        return False
    return True


def release(locks: int, name: str) -> None:
    """Release a name."""
    _set_lock(locks, name, fcntl.F_UNLCK)


def _set_lock(locks: int, name: str, kind: int) -> None:
    byte = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    # struct flock of Linux: l_type, l_whence, l_start, l_len, l_pid.
    fcntl.fcntl(locks, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0))
