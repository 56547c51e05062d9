"""Locks that keep programs from the same files, the locks of a killed program, and jobs that end with their starter."""

import errno
import fcntl
import multiprocessing
import os
import signal
import socket
import subprocess
import sys

import pytest

from headpatterns.errors import InputError
from headpatterns.processes import group as processes
from headpatterns.processes import holding, interruption

SENTENCE = "another program is training run: wait until it ends, or stop it, and run this again."


def attempt(path, answer):
    """Take the lock as another program would, and answer with the refusal or that it has the lock."""
    try:
        with processes.exclusive_lock(path, "run"):
            answer.put("has it")
    except InputError as error:
        answer.put(str(error))


def answer_of_another(path):
    context = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    other = context.Process(target=attempt, args=(path, answer))
    other.start()
    other.join()
    return answer.get()


def test_a_lock_is_one_programs_and_gone_with_it(tmp_path):
    path = tmp_path / "folder" / "run.lock"
    with processes.exclusive_lock(path, "run"):
        assert answer_of_another(path) == SENTENCE
        assert path.is_file()
    assert not path.exists()
    assert answer_of_another(path) == "has it"
    assert not path.exists()


def test_one_program_does_not_take_a_lock_twice(tmp_path):
    path = tmp_path / "run.lock"
    with processes.exclusive_lock(path, "run"):
        again = processes.exclusive_lock(path, "run", "extracting")
        with pytest.raises(InputError, match="another program is extracting run:"), again:
            pass
        assert path.is_file()


@pytest.mark.parametrize("kind", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_does_without(tmp_path, monkeypatch, kind):
    def flock(descriptor, operation):
        raise OSError(kind, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    with processes.exclusive_lock(tmp_path / "run.lock", "run"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_any_other_failure_of_a_lock_is_told(tmp_path, monkeypatch):
    def flock(descriptor, operation):
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="the disk is broken"), processes.exclusive_lock(tmp_path / "run.lock", "run"):
        pass


STARTING = """
import subprocess, sys
from headpatterns.processes import starter
starter.become()
between = ["sh", "-c", '"$@"; true', "sh"] if "between" in sys.argv else []
subprocess.run([*between, sys.executable, "-c", sys.argv[1]])
"""
JOB = """
import time
from headpatterns.processes import starter
starter.end_with()
print("at work", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("between", [[], ["between"]], ids=["directly", "through a shell"])
def test_a_job_ends_with_the_one_that_started_it(between):
    started = subprocess.Popen([sys.executable, "-c", STARTING, JOB, *between], stdout=subprocess.PIPE, text=True)
    assert started.stdout.readline() == "at work\n"
    started.kill()
    started.wait()
    assert started.stdout.read() == ""  # the output ends when the job has ended


def test_a_job_that_nobody_started_goes_on(monkeypatch):
    monkeypatch.setenv("HEADPATTERNS_STARTER", "1000000000")
    answer = subprocess.run([sys.executable, "-c", JOB.replace("600", "0.2")], capture_output=True, text=True)
    assert (answer.returncode, answer.stdout) == (0, "at work\n")


HOLDING = """
import sys
from pathlib import Path
from headpatterns.processes import holding
print(holding.join(Path("holders"), Path("locks")), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Starts a process that holds a folder's file; returns whether it removed the locks there, and the process."""
    started = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDING], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process.stdout.readline().strip() == "True", process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_locks_of_a_killed_process_are_removed_and_those_of_a_living_one_are_not(tmp_path, holder):
    removed, first = holder()
    assert not removed
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/0.input.lock").write_text("file")
    removed, second = holder()
    assert not removed
    first.kill()
    first.wait()
    removed, third = holder()
    assert not removed and (tmp_path / "locks/0.input.lock").is_file()
    for process in (second, third):
        process.kill()
        process.wait()
    removed, _ = holder()
    assert removed and not (tmp_path / "locks").exists()


def test_locks_that_another_machine_may_hold_stay(tmp_path, holder):
    locks, holders = tmp_path / "locks", tmp_path / "holders"
    locks.mkdir()
    (locks / "0.input.lock").write_text("file")
    for last in ("", "another-machine"):
        holders.write_text(last)
        removed, process = holder()
        process.kill()
        process.wait()
        assert not removed and locks.is_dir() and holders.read_text() == last
    holders.write_text(socket.gethostname())
    holding.have_jobs_elsewhere(holders)
    removed, process = holder()
    assert not removed and locks.is_dir()
    process.kill()
    process.wait()
    (locks / "0.input.lock").unlink()  # as at the end of a run that is not killed
    holder()
    assert holders.read_text() == socket.gethostname()


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_remembered_and_a_second_interrupt_ends_the_work(kind):
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with interruption.awaited():
        assert not interruption.received_here()
        os.kill(os.getpid(), kind)
        assert interruption.received_here() and interruption.name() == kind.name
    with pytest.raises(KeyboardInterrupt), interruption.awaited():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert before == {number: signal.getsignal(number) for number in before}
