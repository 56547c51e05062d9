"""The journal of a run of Snakemake: its jobs, and when each started, finished or failed.

The run itself writes it, so that another process can read its progress at any time, without Snakemake's lock. It is a
file of JSON objects, one per line. The first has the config, the jobs and their shared resources; each of the others
has one job's change of state.
"""

import json
import os
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from headpatterns.errors import InputError
from headpatterns.experiment.jobs import Job
from headpatterns.io import atomic_path

FILE = "logs/jobs.ndjson"
"""Path of the journal below the folder of an experiment."""

STARTED, FINISHED, FAILED, ENDED = "started", "finished", "failed", "ended"
"""Events of a job, and of the run itself."""

AT_ONCE = "jobs"
"""The shared resource of jobs at a scheduler: the number of jobs at the same time."""

DONE, RUNNING, LEFT = "done", "running", "left"
"""States of a job other than `FAILED`."""


@dataclass(frozen=True)
class Listed:
    """A job of a run.

    Attributes:
        number: Snakemake's number of the job, its name in the journal.
        job: the job as in the table of jobs.
        log: path of its log file.
        needs: numbers of the jobs whose outputs it reads.
        to_run: whether it had to run when the run started; otherwise it was already finished.
    """

    number: int
    job: Job
    log: str
    needs: tuple[int, ...]
    to_run: bool


@dataclass
class Run:
    """The contents of a journal.

    Attributes:
        config: the config of the run, all overlays merged.
        listed: its jobs.
        capacity: shared resources: `cores`, `gpus` or, at a scheduler, `jobs`, the number of jobs at the same time.
        process: `pid`, `created` (in seconds since 1970) and `host` of Snakemake.
        started: start of the run, in seconds since 1970, like all times here.
        ended: end of the run; None while it continues, or if it was killed.
        told: time of the last entry.
        changes: the last change of state of jobs, with its time, by number.
        lived: whether its process existed when the journal was read; on another machine this is not known.
    """

    config: Mapping[str, Any]
    listed: tuple[Listed, ...]
    capacity: Mapping[str, int]
    process: Mapping[str, Any]
    started: float
    ended: float | None = None
    told: float = 0.0
    changes: dict[int, tuple[str, float]] = field(default_factory=dict)
    lived: bool = True

    @property
    def is_here(self) -> bool:
        """Whether the run was started on this machine."""
        return bool(self.process["host"] == socket.gethostname())

    @property
    def goes_on(self) -> bool:
        """Whether the run is active; on another machine, whether its journal has no end."""
        return self.ended is None and (self.lived or not self.is_here)

    def state(self, one: Listed) -> str:
        """`DONE`, `RUNNING`, `FAILED` or `LEFT`; jobs that ran when the run ended are left, because they run again."""
        change = self.changes.get(one.number, ("", 0.0))[0]
        if change == FINISHED or not one.to_run:
            return DONE
        if change == FAILED:
            return FAILED
        return RUNNING if change == STARTED and self.goes_on else LEFT


def _lives(process: Mapping[str, Any]) -> bool:
    """Whether a process of this machine still exists, and is not another process with its number."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        return bool(abs(psutil.Process(process["pid"]).create_time() - process["created"]) < 1)
    return False


def begin(path: Path, config: Mapping[str, Any], listed: Iterable[Listed], capacity: Mapping[str, int]) -> None:
    """Start the journal of the run of this process."""
    import psutil

    process = {"pid": os.getpid(), "created": psutil.Process().create_time(), "host": socket.gethostname()}
    head = {
        "config": config,
        "listed": [asdict(one) for one in listed],
        "capacity": capacity,
        "process": process,
        "started": time.time(),
    }
    with atomic_path(path) as temporary:
        temporary.write_text(f"{json.dumps(head)}\n", encoding="utf-8")


def note(path: Path, what: str, number: int | None = None) -> None:
    """Add a job's change of state, or the end of the run; a full disk does not stop the run."""
    line = {"at": time.time(), "what": what, "by": _by(os.getpid(), socket.gethostname())}
    line |= {} if number is None else {"number": number}
    with suppress(OSError), path.open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(line)}\n")


class _Line(NamedTuple):
    at: float
    what: str
    by: str
    number: int = -1


def _by(pid: int, host: str) -> str:
    """The name of the run that writes an entry, because two runs may work on one experiment at the same time."""
    return f"{pid}@{host}"


def read(path: Path) -> Run:
    """The contents of a journal; incomplete lines and lines of another run are ignored.

    Raises:
        InputError: there is no journal, or it cannot be read.
    """
    if not path.is_file():
        raise InputError(
            f"{path} does not exist: headpatterns 0.11.0 or later has started no run of this experiment here; "
            "`snakemake plan` shows what is to be done, and `snakemake all` starts it."
        )
    try:
        with path.open(encoding="utf-8") as file:
            content = json.loads(file.readline())
        listed = [
            Listed(**{**one, "job": Job(**one["job"]), "needs": tuple(one["needs"])}) for one in content["listed"]
        ]
        run = Run(**{**content, "listed": tuple(listed)}, told=content["started"], lived=_lives(content["process"]))
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path} is not the journal of a run ({error}): the next run writes a new one.") from None
    # The file is read after the check of the process: a process that has ended by then has written everything.
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        with suppress(ValueError, TypeError):
            _tell(run, _Line(**json.loads(line)))
    return run


def _tell(run: Run, line: _Line) -> None:
    if line.by != _by(run.process["pid"], run.process["host"]):
        return
    run.told = line.at
    if line.what == ENDED:
        run.ended = line.at
    else:
        run.changes[line.number] = line.what, line.at
