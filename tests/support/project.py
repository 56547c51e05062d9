"""Where the project lies, and Snakemake run on a copy of it."""

import copy
import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]


def config_in(file: str) -> dict[str, Any]:
    """A config file of the project, such as config.yaml, for the caller to change; it is parsed once."""
    return copy.deepcopy(_parsed(file))


@functools.cache
def _parsed(file: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROJECT / file).read_text(encoding="utf-8"))
    return found


def snakemake(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a copy of the project, as a user would; standard error is part of the output."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
