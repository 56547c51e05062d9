"""The table of jobs that Snakemake makes for an experiment: a CSV file with one row per job.

Planning, the table of timings and the check of the disk read it. Snakemake determines the jobs.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from headpatterns.errors import InputError
from headpatterns.io import read_csv, write_csv

VARIABLE = "HEADPATTERNS_JOBS"
"""The environment variable that makes a dry run write the table: its value is the path of the file."""

COLUMNS = ("rule", "name", "benchmark", "batch", "wildcards")


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        rule: its rule; those made for each batch count as `finetune`, `extract_patterns`, `ablate_heads` and
            `trained_losses`.
        name: distinguishes it from the rule's other jobs; empty if a rule has one job.
        benchmark: its benchmark file, relative to the folder of these files; empty if it has none.
        batch: the batch of runs that it works on; empty for other rules.
        wildcards: the values of the rule's wildcards, by name.
    """

    rule: str
    name: str = ""
    benchmark: str = ""
    batch: str = ""
    wildcards: dict[str, str] = field(default_factory=dict, hash=False)


def write(path: Path, jobs: Iterable[Job]) -> None:
    """Write the table, sorted, so that the same jobs give the same bytes."""
    rows = sorted((job.rule, job.name, job.benchmark, job.batch, json.dumps(job.wildcards)) for job in jobs)
    write_csv(path, COLUMNS, rows)


def read(path: Path) -> list[Job]:
    """The jobs of a table that `write` wrote.

    Raises:
        InputError: the file is missing or is not such a table.
    """
    try:
        return [Job(row["rule"], row["name"], row["benchmark"], row["batch"], json.loads(row["wildcards"]))
                for row in read_csv(path, COLUMNS)]  # fmt: skip
    except json.JSONDecodeError as error:
        raise InputError(f"{path} has wildcards that are not valid JSON ({error}): run the dry run again.") from error


def asked_for() -> Path | None:
    """The path to which a dry run has to write the table of its jobs."""
    place = os.environ.get(VARIABLE)
    return Path(place) if place else None
