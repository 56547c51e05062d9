"""The processes that share a run, one per device: their number, and their communication.

torchrun starts them and sets the place of each in its environment (WORLD_SIZE, RANK, LOCAL_RANK). Without these
variables there is a single process, and all functions here return at once.
"""

# accelerate's PartialState cannot be used here. It is one object of the whole program, which each Trainer resets and
# makes again in its own way, also for DeepSpeed, and which still counts the processes after they have disconnected. It
# chooses NCCL whenever there are GPUs, without naming this process's own. And a single process would load torch for it.

import errno
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from headpatterns.errors import InputError

if TYPE_CHECKING:
    import filelock
    import torch

PATIENCE = timedelta(hours=2)
"""How long a process waits for the others; one of them may be writing the weights of a large model."""

LAUNCHER = "HEADPATTERNS_LAUNCHER"
"""Environment variable with the process id of the program that started this process as one of several."""

LOOK = 1.0
"""Seconds between two checks whether that program still exists."""

ALONE = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}
"""The variables that torchrun would set for a single process, which DeepSpeed requires."""

T = TypeVar("T")


def count() -> int:
    """The number of processes."""
    return int(os.environ.get("WORLD_SIZE", 1))


def own_threads(threads: int) -> int:
    """The threads of this process: its share of the threads of all processes on the machine."""
    return max(1, threads // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


def is_first() -> bool:
    """Whether this is the first process, which prints, and writes and removes shared files."""
    return int(os.environ.get("RANK", 0)) == 0


@contextmanager
def joined(devices: int, device: str, engine: str, said: str = "--devices") -> Iterator[None]:
    """Within the block the processes can communicate, through NCCL on GPUs and gloo on processors.

    After a failure, the connection stays open until the process ends, because closing it needs all processes. Processes
    that torchrun started end when it is killed; otherwise they would continue next to those of the next attempt. `said`
    is the option or key with which the user sets their number.

    Raises:
        InputError: there are not `devices` processes, or there are more on this machine than it has GPUs.
    """
    if count() != devices:
        start = f"under workflow_scripts/launch.py --standalone --nproc-per-node {devices}" if devices > 1 else "alone"
        raise InputError(
            f"{said} is {devices}, but {count()} {'process was' if count() == 1 else 'processes were'} started: "
            f"start this {start}, or give another {said}."
        )
    if devices == 1 and engine == "pytorch":
        yield
        return

    import torch

    alone = "RANK" not in os.environ
    if not alone:
        launcher = int(os.environ.get(LAUNCHER, os.getppid()))
        threading.Thread(target=_end_with, args=[launcher], daemon=True).start()
    if engine == "deepspeed":
        _prepare_deepspeed(device)
    if alone:
        os.environ.update(ALONE)
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))  # otherwise accelerate would choose another
    backend, own = _backend(device)
    # A single process gets explicit values; for the others, -1 and None mean those of their environment.
    store = torch.distributed.HashStore() if alone else None  # type: ignore[attr-defined]  # not in torch's __all__
    rank, size = (0, 1) if alone else (-1, -1)
    torch.distributed.init_process_group(
        backend, timeout=PATIENCE, world_size=size, rank=rank, store=store, device_id=own
    )
    try:
        yield
        torch.distributed.destroy_process_group()
    finally:
        for name in ALONE if alone else ():
            del os.environ[name]


def _end_with(launcher: int) -> None:
    """End at once when the launcher is no longer the parent of this process, because it was killed."""
    while os.getppid() == launcher:
        time.sleep(LOOK)
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def exclusive_lock(path: Path, output: str, work: str = "training") -> Iterator[None]:
    """Within the block the first process has a lock on the file `path`, so that no other program works on `output`.

    File systems without locks, as on some clusters, are used without one. The file is removed at the end. `work` names
    the work in the error.

    Raises:
        InputError: another program has the lock.
    """
    import filelock

    lock = filelock.FileLock(path, blocking=False, fallback_to_soft=False)
    own = is_first() and _acquired(lock, path)
    try:
        if not broadcast(own):
            raise InputError(f"another program is {work} {output}: wait until it ends, or stop it, and run this again.")
        yield
    finally:
        if own:
            path.unlink(missing_ok=True)  # while it is locked: a program that has opened it finds it gone
            lock.release()


def _acquired(lock: "filelock.BaseFileLock", path: Path) -> bool:
    """Make the file of the lock and take the lock, unless another program has it."""
    import filelock

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire()
    except filelock.Timeout:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK):
            raise
    return True


def _backend(device: str) -> tuple[str, "torch.device | None"]:
    """The backend, and for NCCL the GPU of this process."""
    import torch

    if torch.device(device).type != "cuda":
        return "gloo", None
    place, present = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if place >= present:
        raise InputError(
            f"process {place + 1} of this machine has no GPU of its own, because torch sees {present}: allow more "
            "(CUDA_VISIBLE_DEVICES), or set devices and nodes to the GPUs that exist."
        )
    torch.cuda.set_device(place)
    return "nccl", torch.device("cuda", place)


def _prepare_deepspeed(device: str) -> None:
    """Import DeepSpeed for `device`; on processors, without compiling an operator for inference."""
    import torch

    on_processor = torch.device(device).type == "cpu"
    if on_processor:
        os.environ["DS_ACCELERATOR"] = "cpu"
    try:
        import deepspeed
    except ImportError as error:
        raise InputError(f"engine deepspeed needs the package deepspeed ({error}): install it.") from error
    if on_processor:
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def own_device(device: str) -> "torch.device":
    """This process's own device of this kind."""
    import torch

    if count() > 1 and torch.device(device).type == "cuda":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device(device)


def barrier() -> None:
    """Return after all processes have called this."""
    if count() > 1:
        import torch

        torch.distributed.barrier()


def broadcast(value: T) -> T:
    """The value of the first process, returned in all processes."""
    if count() == 1:
        return value

    import torch

    values = [value]
    torch.distributed.broadcast_object_list(values, src=0)
    return values[0]


def minimum(value: int) -> int:
    """The smallest value of all processes, returned in all of them; every process must call this."""
    if count() == 1:
        return value

    import torch

    values = [value] * count()
    torch.distributed.all_gather_object(values, value)
    return min(values)


def any_of(flag: bool, device: "torch.device") -> bool:
    """Whether the flag is true in any process; every process must call this."""
    if count() == 1:
        return flag

    import torch

    flags = torch.tensor(int(flag), device=device)
    torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
    return bool(flags)
