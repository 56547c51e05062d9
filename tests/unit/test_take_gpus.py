"""Commands that share the GPUs of one machine: real processes, which hold simulated GPUs until they end."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import scripts

from headpatterns.cluster import gpus as locks

pytestmark = pytest.mark.skipif(
    not hasattr(fcntl, "F_OFD_SETLK"), reason="this system has no locks that belong to an open file, as Linux has"
)
SCRIPT = [sys.executable, str(scripts.FOLDER / "take_gpus.py")]


@pytest.fixture
def machine(tmp_path):
    """Starts commands on GPUs, and kills those that still run at the end."""

    class Machine:
        environment = {  # noqa: RUF012
            **{name: value for name, value in os.environ.items() if not name.startswith(("CUDA_", "SLURM_"))},
            locks.LOCKS: str(tmp_path / "locks"),
            "PATH": f"{tmp_path}:/usr/bin:/bin",
        }

        def __init__(self):
            self.started = []

        def start(self, count, *command, gpus="0,1", **environment):
            given = {} if gpus is None else {"CUDA_VISIBLE_DEVICES": gpus}
            process = subprocess.Popen(
                [*SCRIPT, "--count", str(count), "--", *map(str, command)],
                env={**self.environment, **given, **environment},
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            self.started.append(process)
            return process

        def hold(self, count, **options):
            """A command that prints which GPUs it has and ends when `release` tells it to."""
            fifo = tmp_path / f"fifo{len(self.started)}"
            os.mkfifo(fifo)
            program = f"exec 3<>{fifo}; echo $CUDA_VISIBLE_DEVICES; head -c 1 <&3 >&2"
            process = self.start(count, "bash", "-c", program, **options)
            process.fifo = fifo
            return process

        def release(self, process):
            process.fifo.write_bytes(b"x")
            process.wait()

        def nvidia(self, *uuids):
            """Writes an nvidia-smi that lists these GPUs, whether or not this machine has any."""
            program = tmp_path / "nvidia-smi"
            program.write_text("#!/bin/sh\n" + "".join(f"echo {uuid}\n" for uuid in uuids))
            program.chmod(0o755)

    made = Machine()
    made.nvidia()
    yield made
    for process in made.started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def has(process):
    return process.stdout.readline().strip()


def waits(process):
    """Whether the process says that it is waiting, and still runs."""
    return "waiting for" in process.stderr.readline() and process.poll() is None


def answer(process):
    out, error = process.communicate()
    return process.returncode, out, error


def test_free_ones_are_taken_in_order_and_never_by_two(machine):
    first, second = machine.hold(1), None
    assert has(first) == "0"
    second = machine.hold(1)
    assert has(second) == "1"
    third = machine.hold(1)
    assert waits(third)
    machine.release(first)
    assert has(third) == "0"


def test_many_at_once_never_share_one(machine, tmp_path):
    """Each command notes its start and its end. In between, no other command has one of its GPUs."""
    journal = tmp_path / "journal"
    program = f"echo + $CUDA_VISIBLE_DEVICES >> {journal}; sleep 0.05; echo - $CUDA_VISIBLE_DEVICES >> {journal}"
    jobs = [machine.start(count, "bash", "-c", program, gpus="0,1,2") for count in (1, 2, 3, 2, 1, 3)]
    assert [job.wait() for job in jobs] == [0] * 6
    used = set()
    for line in journal.read_text().splitlines():
        what, names = line.split()
        names = set(names.split(","))
        assert names <= used if what == "-" else not names & used
        used = used - names if what == "-" else used | names
    assert len(journal.read_text().splitlines()) == 12 and not used


@pytest.mark.slow
def test_all_or_none_and_nobody_overtakes(machine):
    """A command that waits for two GPUs holds none, but a later command that wants one comes after it."""
    first, second = machine.hold(1), machine.hold(1)
    assert {has(first), has(second)} == {"0", "1"}
    both = machine.hold(2)
    assert waits(both)
    later = machine.hold(1)
    assert waits(later)
    machine.release(first)
    assert waits_on(both) and waits_on(later)
    machine.release(second)
    assert has(both) == "0,1"
    machine.release(both)
    assert has(later) == "0"


def waits_on(process):
    """Whether the process has not begun although a GPU became free: after several checks it has printed nothing."""
    time.sleep(3 * locks.PAUSE)
    os.set_blocking(process.stdout.fileno(), False)
    try:
        return os.read(process.stdout.fileno(), 1) is None
    except BlockingIOError:
        return process.poll() is None
    finally:
        os.set_blocking(process.stdout.fileno(), True)


def test_two_that_want_both_do_not_wait_for_each_other(machine):
    jobs = [machine.start(2, "true") for _ in range(4)]
    assert [job.wait() for job in jobs] == [0] * 4


@pytest.mark.parametrize("gpus", ["0", "0,1"])
@pytest.mark.parametrize("kind", ["shell", "python"])
def test_killed_without_warning(machine, tmp_path, kind, gpus):
    """A killed command gives its GPUs back at once, unless a child of it still runs and may use them."""
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    program = {
        "shell": ["bash", "-c", f"{sys.executable} -c '{child}' & wait"],
        "python": [
            sys.executable,
            "-c",
            f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], start_new_session=True)",
        ],
    }[kind]
    killed = machine.start(len(gpus.split(",")), *program, gpus=gpus)
    orphan = int(killed.stdout.readline())
    waiting = machine.hold(1, gpus=gpus)
    assert waits(waiting)
    killed.kill()
    killed.wait()
    assert waits_on(waiting)
    os.kill(orphan, signal.SIGKILL)
    assert has(waiting) == "0"
    machine.release(waiting)
    assert answer(machine.start(1, "true", gpus="0")) == (0, "", "")


def test_one_that_is_killed_while_it_waits_is_in_nobodys_way(machine):
    first = machine.hold(2)
    assert has(first) == "0,1"
    waiting = machine.hold(2)
    assert waits(waiting)
    waiting.kill()
    waiting.wait()
    machine.release(first)
    assert answer(machine.start(2, "true")) == (0, "", "")


def test_the_command_is_as_it_would_be_alone(machine, tmp_path):
    """It gets its arguments and an end of file on its input, and its exit status is kept."""
    code = "import sys; print(sys.argv[1:], repr(sys.stdin.read())); sys.exit(7)"
    found = answer(machine.start(1, sys.executable, "-c", code, "--count", "9", "--", "a b"))
    assert found == (7, "['--count', '9', '--', 'a b'] ''\n", "")


def test_gpus_are_known_by_their_uuids(machine):
    """A job may name them in any way: not at all, by index, or by a UUID or its beginning."""
    machine.nvidia("GPU-aaaa", "GPU-bbbb")
    free = machine.hold(1, gpus=None)
    assert has(free) == "GPU-aaaa"
    by_index = machine.hold(1, gpus="0,1")
    assert has(by_index) == "1"
    for gpus in ("1", "GPU-bb", "GPU-bbbb"):
        assert waits(machine.hold(1, gpus=gpus))
    machine.release(free)
    assert has(machine.hold(1, gpus="GPU-bb,GPU-aa")) == "GPU-aa"


def test_commands_of_one_slurm_job_share_out_what_it_has(machine):
    """Two jobs may have a GPU 0 each, as Slurm counts GPUs by job, unless nvidia-smi shows that it is the same one."""
    first, other = machine.hold(1, gpus="0", SLURM_JOB_ID="7"), machine.hold(1, gpus="0", SLURM_JOB_ID="8")
    assert (has(first), has(other)) == ("0", "0")
    second = machine.hold(1, gpus="0", SLURM_JOB_ID="7")
    assert waits(second)
    machine.release(first)
    assert has(second) == "0"
    machine.nvidia("GPU-aaaa")
    known = machine.hold(1, gpus="0", SLURM_JOB_ID="7")
    assert has(known) == "0"
    assert waits(machine.hold(1, gpus="0", SLURM_JOB_ID="8"))


def test_none_are_taken_for_a_command_that_needs_none(machine, tmp_path):
    found = answer(machine.start(0, "sh", "-c", "echo ${CUDA_VISIBLE_DEVICES-unset}", gpus=None))
    assert found == (0, "unset\n", "")
    assert not (tmp_path / "locks").exists()


@pytest.mark.parametrize(
    ("count", "gpus", "sentence"),
    [
        (3, "0,1", "the job asks for 3 GPUs, but CUDA_VISIBLE_DEVICES names 2: ask for fewer."),
        (2, "1,1", "the job asks for 2 GPUs, but CUDA_VISIBLE_DEVICES names 1: ask for fewer."),
        (1, "", "the job asks for 1 GPUs, but CUDA_VISIBLE_DEVICES names none: ask for fewer."),
        (1, "-1", "the job asks for 1 GPUs, but CUDA_VISIBLE_DEVICES names none: ask for fewer."),
        (1, None, "the job asks for 1 GPUs, but this machine has none: ask for fewer."),
    ],
)
def test_more_than_there_are(machine, count, gpus, sentence):
    assert answer(machine.start(count, "true", gpus=gpus)) == (2, "", f"take_gpus: {sentence}\n")


def test_more_than_the_driver_knows(machine):
    machine.nvidia("GPU-aaaa", "GPU-bbbb")
    status, _, error = answer(machine.start(3, "true", gpus=None))
    assert (status, error) == (2, "take_gpus: the job asks for 3 GPUs, but this machine has 2: ask for fewer.\n")
    status, _, error = answer(machine.start(1, "true", gpus="0,4"))
    assert (status, error) == (
        2,
        "take_gpus: CUDA_VISIBLE_DEVICES names GPU 4, but this machine has 2: fix it.\n",
    )


def test_a_command_or_a_file_of_locks_that_is_not_there(machine, tmp_path):
    status, _, error = answer(machine.start(1, "no-such-command"))
    assert (status, error) == (
        2,
        "take_gpus: no-such-command cannot be run (No such file or directory): fix the command.\n",
    )
    path = str(tmp_path / "none" / "locks")
    status, _, error = answer(machine.start(1, "true", **{locks.LOCKS: path}))
    assert status == 2
    assert error == (
        f"take_gpus: {path} cannot be opened (No such file or directory): set {locks.LOCKS} to another file.\n"
    )


def test_every_user_may_lock(machine, tmp_path):
    assert machine.start(1, "true").wait() == 0
    assert Path(tmp_path / "locks").stat().st_mode & 0o777 == 0o666
