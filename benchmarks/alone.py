"""Work in a process of its own: its peak memory is nobody else's, and what ends it is said."""

import multiprocessing
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from headpatterns.errors import InputError, first_line

MEASURED, OUT_OF_MEMORY = "measured", "out of memory"


def in_a_process(limit: float | None, work: Callable[..., dict], *arguments: Any) -> dict[str, Any]:
    """What `work` returns in a process of its own, with a `status` that says why where that is nothing.

    Raises:
        InputError: `work` has raised it.
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
        # The kernel kills what takes more memory than there is.
        killed = process.exitcode == -signal.SIGKILL
        found = {"status": OUT_OF_MEMORY if killed else f"ended with {process.exitcode}"}
    if isinstance(found, InputError):
        raise found
    return found


def report(sender: Connection, work: Callable[..., dict], *arguments: Any) -> None:
    """Send what `work` returns, or what kept it from returning."""
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
    """Whether memory ran out, also for a sample alone, of which activation_patterns says it in a sentence."""
    from headpatterns.attribution import memory

    return memory.ran_out(error) or str(error).startswith("memory ran out")
