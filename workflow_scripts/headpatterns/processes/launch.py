"""Several processes of one script, started as torchrun does: signals, and what is said of a failure."""

import json
import logging
import os
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from headpatterns.processes import group as processes
from headpatterns.processes import starter

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

LIMIT = 30
"""Seconds after a failure until torchrun kills the processes that have not ended, whatever its --shutdown-timeout."""


def launch(words: list[str]) -> int:
    """Run the script that the words name, after torchrun's options.

    Returns:
        The script's exit status; 128 + the signal's number where a signal ended it.
    """
    with tempfile.TemporaryDirectory() as folder:  # the sentences of the processes lie there
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, partial(_pass_on, Path(folder)))
        starter.end_with()
        return _run(words, Path(folder))


def _run(words: list[str], folder: Path) -> int:
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    parser = run.get_args_parser()
    parser.allow_abbrev = False  # or it takes the script's --log for a short form of its own options
    logging.disable(logging.ERROR)  # torchrun's own account of a failure
    os.environ[processes.LAUNCHER] = str(os.getpid())
    # torchrun would pass SIGTERM on as well, and wait for as long as --shutdown-timeout says. But it forgets how the
    # processes end then, and a run that is complete in spite of the signal would count as failed.
    arguments = parser.parse_args(["--log-dir", str(folder), "--signals-to-handle", "SIGHUP,SIGQUIT", *words])
    try:
        run.run(arguments)
    except ChildFailedError as failed:
        sentence, status = _account(failed.failures, folder)
        print(sentence, file=sys.stderr)
        return status if status > 0 else 128 - status
    except SignalException as stopped:
        number = signal.Signals(stopped.sigval)
        print(f"launch: ended by {number.name}.", file=sys.stderr)
        return 128 + number
    return 0


def _account(failures: "dict[int, ProcessFailure]", folder: Path) -> tuple[str, int]:
    """What is said of failed processes, by their rank, and the exit status of the one that it is said of.

    A process that is killed leaves no sentence, but the others do, of a connection that it closed. It is the cause,
    unless the signal is one by which torchrun ended it after them.
    """
    by_time = sorted(failures.items(), key=lambda item: item[1].timestamp)
    rank, failure = by_time[0]
    latest = failure.timestamp + LIMIT - 1  # these are whole seconds
    for killed, end in by_time:
        if end.exitcode < 0 and end.exitcode != -signal.SIGTERM and end.timestamp < latest:
            memory = ", which happens when memory runs out: give the job more (`mem_mb` of its rule in `resources`)"
            why = memory if end.exitcode == -signal.SIGKILL else ""
            return f"process {killed} was killed by signal {-end.exitcode}{why}.", end.exitcode
    told = sorted(folder.rglob("error.json"), key=lambda path: path.stat().st_mtime_ns)
    return (_sentence(told[0]) if told else f"process {rank}: {failure.message}"), failure.exitcode


def _sentence(path: Path) -> str:
    """What a process left in the file that torchrun names to it (`command_line.run`)."""
    sentence: str = json.loads(path.read_text(encoding="utf-8"))["message"]
    return sentence


def _pass_on(folder: Path, number: int, frame: FrameType | None) -> None:
    """Ask the processes to stop; when they do, this program ends too. Where there have been none, it ends at once."""
    import psutil

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if not any(folder.rglob("attempt_0")):  # which torchrun makes before it starts them
        print(f"launch: ended by {signal.Signals(number).name} before it began.", file=sys.stderr)
        sys.exit(128 + number)
    for process in psutil.Process().children():
        process.send_signal(signal.SIGTERM)
