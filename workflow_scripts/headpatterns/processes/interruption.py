"""SIGTERM, with which a scheduler announces that it will kill a job: the work stops where it can go on from.

Several processes get the signal at different moments, or some of them not at all; so each one only remembers it, and
where they stop they decide together.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from headpatterns.processes import group as processes

if TYPE_CHECKING:
    import torch

_received = False


@contextmanager
def awaited() -> Iterator[None]:
    """Within the block SIGTERM ends nothing by itself: the work asks for it where it can stop."""
    global _received
    _received = False
    earlier = signal.signal(signal.SIGTERM, _remember)
    signal.siginterrupt(signal.SIGTERM, False)  # libraries need not cope with interrupted system calls
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _remember(number: int, frame: FrameType | None) -> None:
    global _received
    _received = True


def received(device: "torch.device") -> bool:
    """Whether any of the processes was asked to stop; every process must ask. `device` is where they talk."""
    return processes.any_of(_received, device)
