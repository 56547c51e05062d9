"""SIGTERM, with which a scheduler announces that it will kill a job: the work stops where it can go on from.

Several processes get the signal at different moments, or some of them not at all; so each one only remembers it. Where
they must stop at one place they decide together (`received`); where each can stop by itself it does (`received_here`).
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
    """Within the block SIGTERM ends nothing by itself: the work asks for it where it can stop.

    Afterwards the signal does what it did before, with one exception. When one of several processes has failed, the
    launcher sends SIGTERM to the others. It must not end them while they write down why they fail in turn: a process
    that fails as one of several never obeys the signal again.
    """
    global _received
    _received = False
    failed = True
    earlier = signal.signal(signal.SIGTERM, _remember)
    signal.siginterrupt(signal.SIGTERM, False)  # libraries need not cope with interrupted system calls
    try:
        yield
        failed = False
    finally:
        if not (failed and processes.count() > 1):
            signal.signal(signal.SIGTERM, earlier)


def _remember(number: int, frame: FrameType | None) -> None:
    global _received
    _received = True


def received(device: "torch.device") -> bool:
    """Whether any of the processes was asked to stop; every process must ask. `device` is where they talk."""
    return processes.any_of(_received, device)


def received_here() -> bool:
    """Whether this process was asked to stop in the last block of `awaited`, be it still open or at its end."""
    return _received
