"""A failed write gives one sentence with the place, the file system and a fix, for every wording of a library."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from refusals import assert_refusal, refusal

from headpatterns import storage
from headpatterns.errors import FIXES, InputError, Interrupted
from headpatterns.io import atomic_path, write_csv

FULL = Path("/dev/full")


def test_a_full_disk_is_said_where_python_writes(tmp_path):
    with refusal(str(tmp_path), ("no space is left", "free space")), storage.written(tmp_path):
        FULL.write_text("x" * 100_000)


@pytest.mark.parametrize(
    "told",
    [
        'Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })',
        "[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device",
        "I/O error: No space left on device (os error 28)",
    ],
)
def test_a_full_disk_is_said_where_a_library_has_its_own_words_for_it(tmp_path, told):
    with refusal(str(tmp_path), ("no space is left", "free space")), storage.written(tmp_path):
        raise RuntimeError("cannot save") from ValueError(told)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EDQUOT, "your quota is used up"),
        (errno.EROFS, "mounted read-only"),
        (errno.EACCES, "you may not write there"),
    ],
)
def test_the_file_is_named_where_the_system_names_it(tmp_path, number, words):
    """The sentence has the same fix as every other refusal of this kind by the system."""
    file = tmp_path / "table.csv"
    with refusal(str(file), (words, FIXES[number])), storage.written(tmp_path):
        raise OSError(number, "refused", str(file))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a bug"),
        FileNotFoundError(errno.ENOENT, "not there", "input.csv"),
        PermissionError(errno.EACCES, "may not be read", "/elsewhere/input.csv"),
        InputError("a row is wrong: fix it."),
        Interrupted("interrupted by SIGTERM."),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_another_failure_stays_what_it_is(tmp_path, error):
    with pytest.raises(type(error)) as raised, storage.written(tmp_path):
        raise error
    assert raised.value is error
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_has_no_room_leaves_the_old_one(tmp_path):
    path = tmp_path / "table.csv"
    write_csv(path, ["a"], [[1]])
    with refusal(str(tmp_path), "no space is left"), atomic_path(path) as temporary:
        temporary.symlink_to(FULL)
        temporary.write_text("x" * 100_000)
    assert path.read_text() == "a\n1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_log_that_has_no_room_is_a_sentence_on_the_terminal():
    script = (
        "from headpatterns import cli; from pathlib import Path\n"
        "cli.run(lambda given: print('x' * 100_000, flush=True), cli.parser('a test'))"
    )
    answer = subprocess.run([sys.executable, "-c", script, "--log", str(FULL)], capture_output=True, text=True)
    assert answer.returncode != 0
    assert_refusal(answer.stderr, "/dev", ("no space is left", "free space"))
    assert len(answer.stderr.splitlines()) == 1
