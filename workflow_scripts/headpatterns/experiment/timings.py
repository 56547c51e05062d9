"""Snakemake's benchmark files: time and memory of each job."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from headpatterns.experiment.jobs import Job

SAMPLED_SECONDS = 5.0
"""Seconds between two samples that Snakemake takes of a job; it does not sample shorter jobs."""

COLUMNS = ("rule", "jobs", "wall_minutes", "longest_job_seconds", "cpu_minutes", "peak_memory_mb")

Measured = dict[str, str]


def measured(folder: Path, jobs: Iterable[Job]) -> list[tuple[Job, Measured]]:
    """The finished jobs, with the last line of their benchmark files, which are in `folder`.

    Files of jobs that the config no longer has are ignored.
    """
    found = []
    for job in jobs:
        path = folder / job.benchmark
        if not path.is_file():
            continue
        with path.open(newline="", encoding="utf-8") as file:
            if lines := list(csv.DictReader(file, delimiter="\t")):
                found.append((job, lines[-1]))
    return found


def rows(done: Iterable[tuple[Job, Measured]]) -> list[dict[str, Any]]:
    """A row for each rule, the most expensive rule first."""
    rules: dict[str, list[Measured]] = {}
    for job, benchmark in done:
        rules.setdefault(job.rule, []).append(benchmark)
    made = [
        {
            "rule": rule,
            "jobs": len(of_rule),
            "wall_minutes": round(sum(map(seconds, of_rule)) / 60, 2),
            "longest_job_seconds": round(max(map(seconds, of_rule)), 1),
            **sampled(of_rule),
        }
        for rule, of_rule in rules.items()
    ]
    return sorted(made, key=lambda row: -row["wall_minutes"])


def sampled(benchmarks: Iterable[Measured]) -> dict[str, float | str]:
    """Processor time and memory, which Snakemake samples; empty if every job was too short to be sampled."""
    long = [benchmark for benchmark in benchmarks if seconds(benchmark) >= SAMPLED_SECONDS]
    if not long:
        return {"cpu_minutes": "", "peak_memory_mb": ""}
    return {
        "cpu_minutes": round(sum(number(benchmark["cpu_time"]) for benchmark in long) / 60, 2),
        "peak_memory_mb": round(max(number(benchmark["max_rss"]) for benchmark in long)),
    }


def seconds(benchmark: Measured) -> float:
    """Wall time of a job."""
    return number(benchmark["s"])


def number(text: str) -> float:
    """A number of a benchmark file; 0 for a job that was too short to be measured."""
    try:
        return float(text)
    except ValueError:
        return 0.0
