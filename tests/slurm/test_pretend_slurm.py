"""The tests' own Slurm leaves nothing behind, even if tests are killed."""

import signal
import subprocess
import sys
from pathlib import Path

import pretend_slurm
import pytest

KILLED = """
import os, pathlib, signal, sys
import pretend_slurm
with pretend_slurm.running(pathlib.Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slurm
def test_what_killed_tests_left_is_ended_and_removed(tmp_path):
    if reason := pretend_slurm.missing():
        pytest.skip(reason)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    killed = subprocess.run([sys.executable, "-c", KILLED, first], cwd=Path(pretend_slurm.__file__).parent)
    assert killed.returncode == -signal.SIGKILL
    assert pretend_slurm.there()
    assert pretend_slurm.alive(first, "slurmctld")
    assert pretend_slurm.missing() is None
    with pretend_slurm.running(second):
        assert pretend_slurm.alive(first, "slurmctld") is None
        assert pretend_slurm.output("sbatch", "--parsable", "--wrap=true")
    assert not pretend_slurm.there()
