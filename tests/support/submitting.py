"""A clone of the project with a filled-in profile: runs Snakemake with it, and tells what happened to its jobs."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pretend_slurm

CONFIG = ("--configfile", "tests/config/tiny.yaml", "tests/config/slurm.yaml")
FILLED_IN = {
    'cpu_partition: ""': "cpu_partition: cpu",
    'gpu_partition: ""': "gpu_partition: gpu",
    "slurm-status-command: sacct": "slurm-status-command: squeue",
}


BEFORE_RUNS = ("raw", "instructions", "tokenized", "training_sets", "pretraining")
"""Folders of results that fine-tunings start from."""


class Job(NamedTuple):
    """A job of Slurm: its rule, its state, the memory and time that it requests, and its times (in ISO 8601)."""

    number: str
    rule: str
    state: str
    memory: str
    minutes: str
    submitted: str
    started: str
    ended: str


class Submitting:
    """A clone of the project, whose jobs go to the cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "snakemake.log"
        self.fill_in(FILLED_IN)

    def fill_in(self, changes: dict[str, str]) -> None:
        """Edit the profile, as a user does."""
        profile = self.folder / "slurm/config.yaml"
        text = profile.read_text()
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        profile.write_text(text)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start Snakemake with the profile, as a user does, but with earlier status checks; it writes to `log`."""
        words = ["--profile", "slurm", *arguments, "--slurm-init-seconds-before-status-checks", "1"]
        with self.log.open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "snakemake", *words],
                cwd=self.folder,
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
            )

    def run(self, *arguments: str, **environment: str) -> int:
        """Run Snakemake to its end; returns its exit status."""
        return self.start(*arguments, **environment).wait()

    @property
    def said(self) -> str:
        """The output of the last Snakemake so far."""
        return self.log.read_text()

    def jobs(self, rule: str = "", *states: str) -> list[Job]:
        """This clone's jobs whose rule names start with `rule`, in the order of submission; all, or only `states`."""
        columns = "%i|%k|%T|%m|%l|%V|%S|%e|%Z"
        rows = pretend_slurm.output("squeue", "-h", f"--states={','.join(states) or 'all'}", "-o", columns)
        split = sorted((row.split("|") for row in rows.splitlines()), key=lambda row: int(row[0]))
        return [Job(*row) for *row, folder in split if row[1].startswith(f"rule_{rule}") and folder == str(self.folder)]

    def begin(self, experiment: str, another: str) -> None:
        """Copy into an experiment the results that the fine-tunings of another experiment started from."""
        for name in BEFORE_RUNS:
            shutil.copytree(self.folder / "results" / another / name, self.folder / "results" / experiment / name)

    def numbers(self, experiment: str) -> dict[str, object]:
        """The pattern, weight and table files of an experiment by path: bytes, or rows without their seconds."""
        root = self.folder / "results" / experiment
        found: dict[str, object] = {}
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            if path.suffix in (".npy", ".safetensors"):
                found[name] = path.read_bytes()
            if path.suffix == ".csv":
                with path.open(newline="") as table:
                    rows = [{**row, "seconds": ""} for row in csv.DictReader(table)]
                found[name] = str(rows).replace(f"results/{experiment}/", "")
        return found
