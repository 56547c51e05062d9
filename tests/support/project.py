"""The folder of the project, copies of it, and runs of Snakemake in them."""

import copy
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from forking import forking

PROJECT = Path(__file__).resolve().parents[2]
OPENCOMPASS = Path(os.environ.get("HEADPATTERNS_OPENCOMPASS") or PROJECT / ".venv-opencompass/bin/python").absolute()
"""The interpreter of the OpenCompass environment."""


def config_in(file: str) -> dict[str, Any]:
    """A config file of the project, such as config.yaml, for the caller to change; it is parsed once."""
    return copy.deepcopy(_parsed(file))


@functools.cache
def _parsed(file: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROJECT / file).read_text(encoding="utf-8"))
    return found


def snakemake(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a copy of the project, as a user would; standard error is part of the output.

    It runs in a fork that has already imported it, unless the caller sets PYTHONHASHSEED, which needs a new process.
    """
    words, variables = ["-m", "snakemake", *arguments], {**os.environ, **environment}
    if "PYTHONHASHSEED" not in environment:
        return forking(sys.executable, "snakemake.cli").run(words, folder, variables, merged=True)
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def copy_to(target: Path) -> Path:
    """Copy the project like a clone, without results and environments; OpenCompass's environment becomes a link."""
    made = (".git", ".venv*", ".snakemake", "__pycache__", "*.egg-info", ".*_cache", "results", "site", "*.gguf")
    shutil.copytree(PROJECT, target, symlinks=True, ignore=shutil.ignore_patterns(*made))
    if OPENCOMPASS.is_file():
        (target / ".venv-opencompass").symlink_to(OPENCOMPASS.parents[1])
    return target
