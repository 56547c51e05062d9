"""Simulates a machine that lacks something: a package, open files, or a folder for temporary files."""

import gc
import os
import resource
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from headpatterns import cli


@contextmanager
def lacking(here: Path, machine: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inside the block, this process lacks what `machine` describes."""
    with monkeypatch.context() as patch:
        # This keeps the previous script's terminal open: closing it in the block would let one more file be opened.
        patch.setattr(cli, "_terminal", None)
        if package := machine.get("without"):
            for module in [one for one in sys.modules if one == package or one.startswith(f"{package}.")]:
                patch.delitem(sys.modules, module)
            patch.setitem(sys.modules, package, None)
        if folder := machine.get("temporary"):
            patch.setattr(tempfile, "tempdir", str(here / folder))
        with few_files(machine["files"]) if "files" in machine else _as_it_is():
            yield


@contextmanager
def few_files(more: int) -> Iterator[None]:
    """Inside the block, this process can have at most `more` further files open at once."""
    gc.collect()  # so that nothing is closed inside the block
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield
