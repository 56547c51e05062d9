"""The processes that share a run, one a device: how many they are, and what they agree on.

torchrun starts them and tells each its place in its environment (WORLD_SIZE, RANK, LOCAL_RANK). Without that a process
is alone, and everything here is true at once.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from headpatterns.errors import InputError

if TYPE_CHECKING:
    import torch

PATIENCE = timedelta(hours=2)
"""How long a process waits for the others, one of which may be writing the weights of a large model."""

T = TypeVar("T")


def count() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", 1))


def own_threads(threads: int) -> int:
    """The threads of this process, of those that the processes on its machine share."""
    return max(1, threads // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


def is_first() -> bool:
    """Whether this is the process that prints, and makes and removes what belongs to all."""
    return int(os.environ.get("RANK", 0)) == 0


@contextmanager
def joined(devices: int, device: str, engine: str) -> Iterator[None]:
    """Within the block the processes can talk to each other, through NCCL on GPUs and gloo on processors.

    After a failure the connection is left to the end of the process: to close it in order, all would have to be there.

    Raises:
        InputError: they are not `devices` processes, or there are more on this machine than it has GPUs.
    """
    if count() != devices:
        start = f"under workflow_scripts/launch.py --standalone --nproc-per-node {devices}" if devices > 1 else "alone"
        raise InputError(
            f"--devices is {devices}, but {count()} {'process was' if count() == 1 else 'processes were'} started: "
            f"start this {start}, or give another --devices."
        )
    if devices == 1 and engine == "pytorch":
        yield
        return

    import torch

    if engine == "deepspeed":
        _prepare_deepspeed(device)
    alone = "RANK" not in os.environ
    if alone:
        os.environ.update(WORLD_SIZE="1", RANK="0", LOCAL_RANK="0")
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))  # or accelerate would choose another
    torch.distributed.init_process_group(
        timeout=PATIENCE,
        **_backend(device),
        **({"store": torch.distributed.HashStore(), "rank": 0, "world_size": 1} if alone else {}),
    )
    yield
    torch.distributed.destroy_process_group()


def _backend(device: str) -> dict[str, object]:
    """The backend, and for NCCL the GPU of this process."""
    import torch

    if torch.device(device).type != "cuda":
        return {"backend": "gloo"}
    place, present = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if place >= present:
        raise InputError(
            f"process {place + 1} of this machine has no GPU of its own, since torch sees {present}: show it more "
            "(CUDA_VISIBLE_DEVICES), or set devices and nodes to what there is."
        )
    torch.cuda.set_device(place)
    return {"backend": "nccl", "device_id": torch.device("cuda", place)}


def _prepare_deepspeed(device: str) -> None:
    """Import DeepSpeed for `device`, on processors without an operator for inference that it would compile first."""
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
    """The device of this kind that is this process's own."""
    import torch

    if count() > 1 and torch.device(device).type == "cuda":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device(device)


def wait_for_all() -> None:
    """Return once every process has come here."""
    if count() > 1:
        import torch

        torch.distributed.barrier()


def of_first(value: T) -> T:
    """The value that the first process has, on all of them."""
    if count() == 1:
        return value

    import torch

    values = [value]
    torch.distributed.broadcast_object_list(values, src=0)
    return values[0]


def any_of(flag: bool, device: "torch.device") -> bool:
    """Whether the flag is up in any process; every process must ask."""
    if count() == 1:
        return flag

    import torch

    flags = torch.tensor(int(flag), device=device)
    torch.distributed.all_reduce(flags, torch.distributed.ReduceOp.MAX)
    return bool(flags)
