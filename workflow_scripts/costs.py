"""What an experiment has cost so far, beside what was planned for it: from the benchmark files of its jobs.

Writes OUTPUT.csv, a row for each rule, and OUTPUT.md, and prints the latter. It can be asked for at any moment.
Attempts that failed, were killed or preempted are not in it: a benchmark file is of the last attempt, which succeeded.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from headpatterns import cli as command_line
from headpatterns import tidy, timings
from headpatterns.errors import InputError
from headpatterns.experiment import config as experiment
from headpatterns.experiment.applications import Config
from headpatterns.io import atomic_path
from headpatterns.planning import disk as footprint
from headpatterns.planning import estimates as planning
from headpatterns.planning import text as tables
from headpatterns.planning.sizes import Sizes

COLUMNS = ("rule", "jobs", "done", "hours", "planned_hours", "ratio", "gpu_hours", "planned_gpu_hours", "cpu_hours",
           "peak_memory_mb", "hours_to_go", "gpu_hours_to_go")  # fmt: skip


def main(arguments: argparse.Namespace) -> None:
    """Set the times of the jobs that are done beside their estimates, and project those that are not."""
    config = experiment.read_config(arguments.config)
    estimates = planning.estimates(config, Sizes(config, arguments.results))
    done = timings.measured(arguments.results / "benchmarks", [one.job for one in estimates])
    if not done:
        raise InputError(
            f"no job of the experiment {config['experiment']} is done: {arguments.results}/benchmarks holds no file of "
            "any; `snakemake plan` says what is ahead."
        )
    taken = {(job.rule, job.name): benchmark for job, benchmark in done}
    rows = [row(rule, of_rule, taken) for rule, of_rule in planning.by_rule(estimates).items()]
    rows = [one for one in rows if one["done"] or one["rule"] in planning.WORK]
    total = summed(rows)
    tidy.write(arguments.output.with_suffix(".csv"), COLUMNS, [[one[name] for name in COLUMNS] for one in rows])
    found = sections(config, rows, total, arguments.results)
    text = "\n\n".join([f"# Costs of the experiment {config['experiment']}", *found])
    with atomic_path(arguments.output.with_suffix(".md")) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    print(text)


def row(
    rule: str, estimates: Sequence[planning.Estimate], taken: dict[tuple[str, str], timings.Measured]
) -> dict[str, Any]:
    """What the jobs of a rule have taken; planned hours are those of the jobs that are done."""
    done = [one for one in estimates if (one.job.rule, one.job.name) in taken]
    ahead = [one for one in estimates if (one.job.rule, one.job.name) not in taken]
    benchmarks = {one.job.name: taken[one.job.rule, one.job.name] for one in done}
    times = {name: timings.seconds(benchmark) / 3600 for name, benchmark in benchmarks.items()}
    sampled = timings.sampled(benchmarks.values())
    hours, planned = sum(times.values()), planning.hours(done)
    ratio = hours / planned if planned else ""
    return {
        "rule": rule,
        "jobs": len(estimates),
        "done": len(done),
        "hours": hours,
        "planned_hours": planned,
        "ratio": ratio,
        "gpu_hours": sum(one.gpus * times[one.job.name] for one in done),
        "planned_gpu_hours": planning.hours(done, "gpus"),
        "cpu_hours": sampled["cpu_minutes"] / 60 if sampled["cpu_minutes"] != "" else "",
        "peak_memory_mb": sampled["peak_memory_mb"],
        "hours_to_go": planning.hours(ahead) * (ratio or 1),
        "gpu_hours_to_go": planning.hours(ahead, "gpus") * (ratio or 1),
    }


def summed(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All rules as one."""
    added = ("jobs", "done", "hours", "planned_hours", "gpu_hours", "planned_gpu_hours", "cpu_hours", "hours_to_go",
             "gpu_hours_to_go")  # fmt: skip
    total = {"rule": "sum", **{name: sum(row[name] or 0 for row in rows) for name in added}}
    total["ratio"] = total["hours"] / total["planned_hours"] if total["planned_hours"] else ""
    return {**total, "peak_memory_mb": max((row["peak_memory_mb"] or 0 for row in rows), default=0)}


def sections(config: Config, rows: Sequence[dict[str, Any]], total: dict[str, Any], results: Path) -> Iterator[str]:
    """The table of jobs and that of the disk."""
    headers = ["rule", "done", "time", "planned", "ratio", "GPU-hours", "planned GPU-hours", "CPU-hours", "memory",
               "to go", "GPU-hours to go"]  # fmt: skip
    short = [row for row in rows if row["jobs"] == 1 and row["rule"] not in planning.WORK]
    others = {**summed(short), "rule": f"{len(short)} other rules"}
    yield tables.table(headers, [cells(row) for row in [*(row for row in rows if row not in short), others, total]])
    yield (
        "Planned is what was estimated for the jobs that are done; to go is the plan of the others × the rule's ratio, "
        "or 1 where none is done. CPU-hours and memory are Snakemake's samples, of jobs longer than a second. "
        "Attempts that failed, were killed or preempted are not counted: a job's times are those of its last one."
    )
    places = {path.name: footprint.used_space(path) for path in sorted(results.iterdir()) if path.is_dir()}
    yield "## Disk"
    yield tables.table(
        ["folder", "size"],
        [[name, tables.gigabytes(size)] for name, size in [*places.items(), ("sum", sum(places.values()))]],
    )
    yield f"{footprint.left(config, results)}."


def cells(row: dict[str, Any]) -> list[str]:
    """A row for a reader."""
    return [
        row["rule"],
        f"{row['done']} of {row['jobs']}",
        tables.duration(row["hours"]),
        tables.duration(row["planned_hours"]),
        f"{row['ratio']:.2f}" if row["ratio"] != "" else "",
        tables.hours(row["gpu_hours"]),
        tables.hours(row["planned_gpu_hours"]),
        tables.hours(row["cpu_hours"]) if row["cpu_hours"] != "" else "",
        tables.gigabytes(row["peak_memory_mb"] * 1e6) if row["peak_memory_mb"] != "" else "",
        tables.duration(row["hours_to_go"]),
        tables.hours(row["gpu_hours_to_go"]),
    ]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--config", type=Path, required=True, help="the experiment's config, all overlays merged")
    made.add_argument("--results", type=Path, required=True, help="the experiment's folder")
    made.add_argument("--output", type=Path, required=True, help="path of the files without .csv and .md")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
