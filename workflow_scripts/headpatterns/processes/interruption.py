"""SIGTERM, by which a scheduler says that it will kill a job, and Ctrl-C: the work stops where it can go on from.

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

_received = ""


@contextmanager
def awaited() -> Iterator[None]:
    """Within the block SIGTERM and SIGINT end nothing by themselves: the work asks for them where it can stop.

    A second SIGINT ends it at once. Afterwards the signals do what they did before, with one exception. When one of
    several processes has failed, the launcher sends SIGTERM to the others. It must not end them while they write down
    why they fail in turn: a process that fails as one of several never obeys that signal again.
    """
    global _received
    _received = ""
    failed = True
    earlier = {number: signal.signal(number, _remember) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in earlier:
        signal.siginterrupt(number, False)  # libraries need not cope with interrupted system calls
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
    """Whether any of the processes was asked to stop; every process must ask. `device` is where they talk."""
    return processes.any_of(bool(_received), device)


def received_here() -> bool:
    """Whether this process was asked to stop in the last block of `awaited`, be it still open or at its end."""
    return bool(_received)


def name() -> str:
    """The signal that asked this process to stop; where only another one got it, SIGTERM, which schedulers send."""
    return _received or "SIGTERM"
