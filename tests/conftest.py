"""Shared fixtures: the folder of real data, and copies of the project in which the workflow runs."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

# The tests compute too little for several threads, which would wait for the threads of other test processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from jaxtyping import install_import_hook
from project import OPENCOMPASS, PROJECT, copy_to

from headpatterns.processes import interruption

CHECKED = [
    "headpatterns.api",
    "headpatterns.statistics",
    "headpatterns.models.token_losses",
    # Triton reads the source of the kernels in fused.py, which the check would change.
    *(
        f"headpatterns.attribution.{path.stem}"
        for path in (PROJECT / "workflow_scripts/headpatterns/attribution").glob("*.py")
        if path.stem != "fused"
    ),
]
"""Modules whose annotations, including shapes, are checked on the arguments and results of every call in a test."""

install_import_hook(CHECKED, "annotations.checked")


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Restore environment variables: scripts that a test calls in this process set some that no later test may see."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def not_asked_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget signals: one that a test sends to this process is remembered, and would stop training in a later test."""
    monkeypatch.setattr(interruption, "_received", "")


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder that holds realdata/ and realmodels/."""
    place = os.environ.get("HEADPATTERNS_REAL")
    if not place:
        pytest.skip("HEADPATTERNS_REAL is not set: no real data or model at hand")
    return Path(place).resolve()


@pytest.fixture(scope="session")
def opencompass() -> Path:
    """The interpreter of the OpenCompass environment."""
    if not OPENCOMPASS.is_file():
        pytest.skip("no OpenCompass here: `make opencompass` sets it up, or HEADPATTERNS_OPENCOMPASS names its Python")
    return OPENCOMPASS


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that copies the project like a clone (`copy_to`)."""

    def make(name: str) -> Path:
        return copy_to(tmp_path_factory.mktemp(name) / "project")

    return make


WHOLE_RUNS = ("tests/workflow", "tests/slurm")
MARKER_OF_FIXTURE = {"clone": "slow", "opencompass": "slow", "real": "real", "site": "slow", "slurm": "slurm"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whole runs by their folder, and other tests by the fixtures that they use, before `-m` selects."""
    for item in items:
        names = {
            marker for fixture, marker in MARKER_OF_FIXTURE.items() if fixture in getattr(item, "fixturenames", ())
        }
        if any(item.path.is_relative_to(PROJECT / folder) for folder in WHOLE_RUNS):
            names.add("slow")
        for name in sorted(names):
            item.add_marker(name)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI everything is available, so a skipped test is a failure there, because it has tested nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and exitstatus == 0 and os.environ.get("CI") and os.environ.get("HEADPATTERNS_REAL"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
