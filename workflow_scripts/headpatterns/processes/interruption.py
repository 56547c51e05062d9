"""SIGTERM, with which a scheduler announces that it will kill a job, and Ctrl-C: work stops where it can be resumed.

Several processes get the signal at different times, or some of them not at all, so each one only remembers it. If they
must stop at the same place, they decide together (`received`). If each can stop by itself, it does (`received_here`).
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from headpatterns.processes import group as processes

if TYPE_CHECKING:
    import torch

_received = ""


@contextmanager
def awaited() -> Iterator[None]:
    """Within the block, SIGTERM and SIGINT do not end the process: the work checks for them where it can stop.

    A second SIGINT ends it at once. Afterwards the signals have their earlier effect, with one exception. When one of
    several processes has failed, the launcher sends SIGTERM to the others. This must not end them while they write
    their own errors. So a process that fails as one of several ignores that signal from then on.
    """
    global _received
    _received = ""
    failed = True
    earlier = {number: signal.signal(number, _remember) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in earlier:
        signal.siginterrupt(number, False)  # libraries may not handle interrupted system calls
    try:
        yield
        failed = False
    finally:
        if failed and processes.count() > 1:
            del earlier[signal.SIGTERM]
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _remember(number: int, frame: FrameType | None) -> None:
    global _received
    _received = _received or signal.Signals(number).name
    if number == signal.SIGINT:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def received(device: "torch.device") -> bool:
    """Whether any process received a signal; every process must call this. They communicate through `device`."""
    return processes.any_of(bool(_received), device)


def received_here() -> bool:
    """Whether this process received a signal in the last block of `awaited`, which may still be open."""
    return bool(_received)


def name() -> str:
    """The signal that this process received; if only another process got it, SIGTERM, which schedulers send."""
    return _received or "SIGTERM"
