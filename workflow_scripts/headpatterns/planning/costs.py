"""The costs of an experiment so far, next to its plan, from the benchmark files of its jobs.

Failed, killed and preempted attempts are not counted: a benchmark file describes the last attempt, which succeeded.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from headpatterns.errors import InputError
from headpatterns.experiment import timings, written
from headpatterns.experiment.experiment import Experiment
from headpatterns.experiment.jobs import Job
from headpatterns.io import atomic_path, write_csv
from headpatterns.planning import disk, summaries, text
from headpatterns.planning.estimates import WORK, Estimate
from headpatterns.planning.sizes import Sizes
from headpatterns.studies import load_studies

COLUMNS = ("rule", "jobs", "done", "hours", "planned_hours", "ratio", "gpu_hours", "planned_gpu_hours", "cpu_hours",
           "peak_memory_mb", "hours_to_go", "gpu_hours_to_go")  # fmt: skip

Taken = dict[tuple[str, str], timings.Measured]
"""Benchmarks of finished jobs, by rule and name."""


def write(config: Path, jobs: Path, results: Path, output: Path) -> None:
    """Compare the times of finished jobs with their estimates, and project the times of the others.

    Writes OUTPUT.csv, with a row for each rule, and OUTPUT.md, and prints the latter.

    Args:
        config: the experiment's config, all overlays merged.
        jobs: the table of its jobs that Snakemake has made.
        results: the experiment's folder.
        output: path of the two files without suffix.

    Raises:
        InputError: config or jobs cannot be read, or no job is finished.
    """
    experiment = Experiment(written.read_config(config), load_studies())
    name = experiment.config.experiment
    estimates = summaries.estimates(Sizes(experiment, results), summaries.read_jobs(experiment, jobs))
    done = taken(results, [one.job for one in estimates])
    if not done:
        raise InputError(
            f"no job of the experiment {name} is done: {results}/benchmarks has no file of a job; `snakemake "
            "plan` shows what is still to be done."
        )
    rows = [row(rule, of_rule, done) for rule, of_rule in summaries.by_rule(estimates).items()]
    rows = [one for one in rows if one["done"] or one["rule"] in WORK]
    total = summed(rows)
    write_csv(output.with_suffix(".csv"), COLUMNS, [[one[name] for name in COLUMNS] for one in rows])
    made = "\n\n".join([f"# Costs of the experiment {name}", *sections(experiment, rows, total, results)])
    with atomic_path(output.with_suffix(".md")) as temporary:
        temporary.write_text(made + "\n", encoding="utf-8")
    print(made)


def taken(results: Path, jobs: Iterable[Job]) -> Taken:
    """The benchmarks of the finished jobs."""
    return {(job.rule, job.name): benchmark for job, benchmark in timings.measured(results / "benchmarks", jobs)}


def row(rule: str, estimates: Sequence[Estimate], measured: Taken) -> dict[str, Any]:
    """The costs of a rule's jobs; planned hours are those of the finished jobs."""
    done = [one for one in estimates if (one.job.rule, one.job.name) in measured]
    ahead = [one for one in estimates if (one.job.rule, one.job.name) not in measured]
    benchmarks = {one.job.name: measured[one.job.rule, one.job.name] for one in done}
    times = {name: timings.seconds(benchmark) / 3600 for name, benchmark in benchmarks.items()}
    sampled = timings.sampled(benchmarks.values())
    minutes = sampled["cpu_minutes"]
    hours, planned = sum(times.values()), summaries.hours(done)
    ratio = hours / planned if planned else None
    return {
        "rule": rule,
        "jobs": len(estimates),
        "done": len(done),
        "hours": hours,
        "planned_hours": planned,
        "ratio": "" if ratio is None else ratio,
        "gpu_hours": sum(one.gpus * times[one.job.name] for one in done),
        "planned_gpu_hours": summaries.hours(done, "gpus"),
        "cpu_hours": minutes / 60 if isinstance(minutes, float) else "",
        "peak_memory_mb": sampled["peak_memory_mb"],
        "hours_to_go": summaries.hours(ahead) * (ratio or 1),
        "gpu_hours_to_go": summaries.hours(ahead, "gpus") * (ratio or 1),
    }


def summed(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The sum over all rules, as a row."""
    added = ("jobs", "done", "hours", "planned_hours", "gpu_hours", "planned_gpu_hours", "cpu_hours", "hours_to_go",
             "gpu_hours_to_go")  # fmt: skip
    total: dict[str, Any] = {"rule": "sum", **{name: sum(row[name] or 0 for row in rows) for name in added}}
    total["ratio"] = total["hours"] / total["planned_hours"] if total["planned_hours"] else ""
    return {**total, "peak_memory_mb": max((row["peak_memory_mb"] or 0 for row in rows), default=0)}


def sections(
    experiment: Experiment, rows: Sequence[dict[str, Any]], total: dict[str, Any], results: Path
) -> Iterator[str]:
    """The table of jobs and the table of the disk."""
    headers = ["rule", "done", "time", "planned", "ratio", "GPU-hours", "planned GPU-hours", "CPU-hours", "memory",
               "to go", "GPU-hours to go"]  # fmt: skip
    short = [row for row in rows if row["jobs"] == 1 and row["rule"] not in WORK]
    others = {**summed(short), "rule": f"{len(short)} other rules"}
    yield text.table(headers, [cells(row) for row in [*(row for row in rows if row not in short), others, total]])
    yield (
        "'Planned' is the estimate for the jobs that are done. 'To go' is the estimate for the other jobs times "
        "the ratio of their rule (1 if no job of the rule is done). CPU-hours and memory are sampled by "
        "Snakemake, for jobs longer than a second. Attempts that failed, were killed or were preempted are not "
        "counted: a job's times are those of its last attempt."
    )
    places = {path.name: disk.used_space(path) for path in sorted(results.iterdir()) if path.is_dir()}
    yield "## Disk"
    yield text.table(
        ["folder", "size"],
        [[name, text.gigabytes(size)] for name, size in [*places.items(), ("sum", sum(places.values()))]],
    )
    yield f"{disk.left(experiment, results)}."


def cells(row: dict[str, Any]) -> list[str]:
    """A row for a reader."""
    return [
        row["rule"],
        f"{row['done']} of {row['jobs']}",
        text.duration(row["hours"]),
        text.duration(row["planned_hours"]),
        f"{row['ratio']:.2f}" if row["ratio"] != "" else "",
        text.hours(row["gpu_hours"]),
        text.hours(row["planned_gpu_hours"]),
        text.hours(row["cpu_hours"]) if row["cpu_hours"] != "" else "",
        text.gigabytes(row["peak_memory_mb"] * 1e6) if row["peak_memory_mb"] != "" else "",
        text.duration(row["hours_to_go"]),
        text.hours(row["gpu_hours_to_go"]),
    ]
