"""The lock that keeps two programs from the same output: between processes, and where a file system knows no locks."""

import errno
import fcntl
import multiprocessing

import pytest

from headpatterns.errors import InputError
from headpatterns.processes import group as processes

SENTENCE = "another program is training run: wait for its end, or end it, and run this again."


def attempt(path, answer):
    """Take the lock as another program would; what it says, or that it has the lock."""
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
