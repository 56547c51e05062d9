"""Run work in a separate process, to measure its peak memory alone and to report how it ends."""

import multiprocessing
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from headpatterns.errors import InputError, first_line

MEASURED, OUT_OF_MEMORY = "measured", "out of memory"


def in_a_process(limit: float | None, work: Callable[..., dict], *arguments: Any) -> dict[str, Any]:
    """The result of `work` in a separate process, with a `status` that gives the reason if there is no result.

    Raises:
        InputError: `work` raised it.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=report, args=(sender, work, *arguments))
    process.start()
    sender.close()
    if not receiver.poll(limit):
        process.kill()
        process.join()
        return {"status": f"longer than {limit:g} s"}
    try:
        found = receiver.recv()
        process.join()
    except EOFError:
        process.join()
        # The kernel kills a process that needs more memory than there is.
        killed = process.exitcode == -signal.SIGKILL
        found = {"status": OUT_OF_MEMORY if killed else f"ended with {process.exitcode}"}
    if isinstance(found, InputError):
        raise found
    return found


def report(sender: Connection, work: Callable[..., dict], *arguments: Any) -> None:
    """Send the result of `work`, or its error."""
    try:
        found = {"status": MEASURED, **work(*arguments)}
    except Exception as error:
        if ran_out(error):
            found = {"status": OUT_OF_MEMORY}
        elif isinstance(error, InputError):
            found = error
        else:
            traceback.print_exc()
            found = {"status": f"failed: {first_line(error)}"}
    sender.send(found)


def ran_out(error: Exception) -> bool:
    """Whether memory ran out, including the error of activation_patterns for a single sample."""
    from headpatterns.attribution import memory

    return memory.ran_out(error) or str(error).startswith("memory ran out")
