"""Jobs end with the Snakemake that started them: killed, it can end none of them itself.

They would work on beside the jobs of its next start, on the same files.
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
    """Let the jobs that this process starts end with it."""
    os.environ[STARTER] = str(os.getpid())


def end_with() -> None:
    """Send this process SIGTERM as soon as its Snakemake is gone; that lets long work save its state.

    A process that no Snakemake has started, on this machine, is left alone.
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
