"""What the tests share: where real data lies, and copies of the project to run the workflow in."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

# What the tests compute is too small to share: threads would wait for those of the other processes that test.
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
"""Modules whose arguments and results are checked by their annotations, shapes included, wherever a test calls them."""

install_import_hook(CHECKED, "annotations.checked")


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Scripts that a test calls in this process set environment variables, which no later test should see."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def not_asked_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that a test sends to this process is remembered, and would stop what a later test trains by itself."""
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
    """Make a copy of the project as a clone would have it (`copy_to`)."""

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
    """In CI, where everything is at hand, a test that was skipped has tested nothing: that is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and exitstatus == 0 and os.environ.get("CI") and os.environ.get("HEADPATTERNS_REAL"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
