"""Several processes of one script, started as by torchrun: signals, and messages about failures."""

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
"""Seconds after a failure until torchrun kills the processes that have not ended, for any --shutdown-timeout."""


def launch(words: list[str]) -> int:
    """Run the script that the words name, after torchrun's options.

    Returns:
        The script's exit status; 128 + the signal's number if a signal ended it.
    """
    with tempfile.TemporaryDirectory() as folder:  # for the error messages of the processes
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, partial(_pass_on, Path(folder)))
        starter.end_with()
        return _run(words, Path(folder))


def _run(words: list[str], folder: Path) -> int:
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    parser = run.get_args_parser()
    parser.allow_abbrev = False  # otherwise it reads the script's --log as a short form of its own options
    logging.disable(logging.ERROR)  # hides torchrun's own report of a failure
    os.environ[processes.LAUNCHER] = str(os.getpid())
    # torchrun would also forward SIGTERM, and wait for --shutdown-timeout. But then it ignores how the processes end,
    # and a run that is complete despite the signal would count as failed.
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
    """The message about failed processes, given by their rank, and the exit status of the process that it is about.

    A killed process leaves no message, but the others report its closed connection. The killed process is the cause,
    unless torchrun itself ended it with the signal after the others.
    """
    by_time = sorted(failures.items(), key=lambda item: item[1].timestamp)
    rank, failure = by_time[0]
    latest = failure.timestamp + LIMIT - 1  # timestamps are whole seconds
    for killed, end in by_time:
        if end.exitcode < 0 and end.exitcode != -signal.SIGTERM and end.timestamp < latest:
            memory = ", which happens when memory runs out: give the job more (`mem_mb` of its rule in `resources`)"
            why = memory if end.exitcode == -signal.SIGKILL else ""
            return f"process {killed} was killed by signal {-end.exitcode}{why}.", end.exitcode
    told = sorted(folder.rglob("error.json"), key=lambda path: path.stat().st_mtime_ns)
    return (_sentence(told[0]) if told else f"process {rank}: {failure.message}"), failure.exitcode


def _sentence(path: Path) -> str:
    """The message of a process in the file that torchrun assigned to it (`command_line.run`)."""
    sentence: str = json.loads(path.read_text(encoding="utf-8"))["message"]
    return sentence


def _pass_on(folder: Path, number: int, frame: FrameType | None) -> None:
    """Forward the signal to the processes; when they end, this program ends too. Without processes it ends at once."""
    import psutil

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if not any(folder.rglob("attempt_0")):  # torchrun makes it before it starts them
        print(f"launch: ended by {signal.Signals(number).name} before it began.", file=sys.stderr)
        sys.exit(128 + number)
    for process in psutil.Process().children():
        process.send_signal(signal.SIGTERM)
