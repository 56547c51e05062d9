"""A Slurm for the tests of this folder, and a clone whose jobs go to it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pretend_slurm
import pytest
from submitting import Submitting


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The cluster for the tests of a file. Tests of another file may run in another process, and wait for it."""
    if reason := pretend_slurm.missing():
        pytest.skip(reason)
    with pretend_slurm.running(tmp_path_factory.mktemp("slurm")):
        yield


@pytest.fixture(scope="module")
def submitting(slurm: None, clone: Callable[[str], Path]) -> Submitting:
    """The clone in which the tests run one after another; later tests reuse what earlier tests have made."""
    return Submitting(clone("slurm"))
