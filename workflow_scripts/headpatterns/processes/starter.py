"""Jobs end with the Snakemake that started them, because a killed Snakemake cannot end them itself.

Otherwise they would continue next to the jobs of its next start, on the same files.
"""

import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

STARTER = "HEADPATTERNS_STARTER"
"""Environment variable with the process id of the Snakemake that starts jobs."""


def become() -> None:
    """Make the jobs that this process starts end with it."""
    os.environ[STARTER] = str(os.getpid())


def end_with() -> None:
    """Send this process SIGTERM as soon as its Snakemake is gone, so that long work can save its state.

    Nothing happens in a process that was not started by a Snakemake on this machine.
    """
    named = os.environ.get(STARTER)
    if not named:
        return

    import psutil

    for ancestor in psutil.Process().parents():
        if str(ancestor.pid) == named:
            threading.Thread(target=_end_after, args=[ancestor], daemon=True).start()


def _end_after(starter: "psutil.Process") -> None:
    starter.wait()
    os.kill(os.getpid(), signal.SIGTERM)
