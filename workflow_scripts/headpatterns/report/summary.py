"""The inputs of an experiment as tables for the report: data, runs, tokens, time spent, and provenance."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headpatterns import provenance
from headpatterns.experiment import jobs, timings
from headpatterns.io import atomic_path, read_json, write_json
from headpatterns.report import origins

RUN_COLUMNS, SHARD_COLUMNS = ("model", "run"), ("tokenizer", "dataset", "split")
"""First columns of two tables, which have no row if nothing is fine-tuned."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The files to summarise.

    Attributes:
        instructions: report.json of each dataset.
        runs: run.json of each run, each with its training.csv in the same folder.
        tokenized: folders of shards, {tokenizer}/{dataset}/{split}.
        jobs: table of the experiment's jobs; only these are counted.
        benchmarks: folder of Snakemake's benchmark files.
        converted: gguf.json of each model that was made from a GGUF file, by its name.
        patterns: folders of patterns.
        ablations: folders of ablations.
        logs: of the analyses; each starts with the provenance of its job.
        settings: further entries of the provenance, in addition to these files, commit, versions and platform.
    """

    instructions: Sequence[Path]
    runs: Sequence[Path]
    tokenized: Sequence[Path]
    jobs: Path
    benchmarks: Path
    converted: Mapping[str, Path]
    patterns: Sequence[Path]
    ablations: Sequence[Path]
    logs: Sequence[Path]
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Paths of the tables (CSV) and the provenance (JSON)."""

    data: Path
    tokens: Path
    training: Path
    timings: Path
    provenance: Path


def summarise(inputs: Inputs, outputs: Outputs) -> None:
    """Write all tables and the provenance, each atomically.

    Raises:
        InputError: the table of jobs cannot be used.
    """
    write_rows(outputs.data, [row for path in inputs.instructions for row in data_rows(path)])
    write_rows(outputs.training, map(training_row, inputs.runs), RUN_COLUMNS)
    write_rows(outputs.tokens, map(token_row, inputs.tokenized), SHARD_COLUMNS)
    done = timings.measured(inputs.benchmarks, jobs.read(inputs.jobs))
    write_rows(outputs.timings, timings.rows(done), timings.COLUMNS)
    converted = {name: converted_model(path) for name, path in inputs.converted.items()}
    made_of = {"models from GGUF": converted} if converted else {}
    measured = {origins.PATTERNS: inputs.patterns, origins.ABLATIONS: inputs.ablations}
    parts = list(origins.parts(inputs.runs, measured, inputs.logs))
    of_runs: dict[str, Any] = {
        "fine-tuned": {**dates(inputs.runs), **origins.computing(parts)},
        "machine": provenance.machine(),
    }
    if mixed := origins.mixed(parts):
        of_runs[origins.MIXED] = mixed
    write_json(outputs.provenance, {**inputs.settings, **made_of, **provenance.environment(), **of_runs})


def dates(files: Iterable[Path]) -> dict[str, str]:
    """The days (UTC) on which the first and the last of some files were written."""
    times = sorted(datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat() for path in files)
    return {"first": times[0], "last": times[-1]} if times else {}


def converted_model(path: Path) -> dict[str, Any]:
    """The identity of a GGUF file: its name, quantization, tensors by type, and checksum."""
    content = read_json(path)
    return {key: content[key] for key in ("file", "architecture", "quantization", "tensors", "sha256")}


def data_rows(report: Path) -> Iterator[dict[str, Any]]:
    """A row for each split of a dataset: rows read, and the numbers of used, removed and rejected rows."""
    content = read_json(report)
    for split, counts in content["splits"].items():
        plain = {name: sum(value.values()) if isinstance(value, dict) else value for name, value in counts.items()}
        yield {"dataset": content["dataset"], "split": split, **plain}


def training_row(run: Path) -> dict[str, Any]:
    """A run in one line: samples, steps, tokens, loss at both ends of training, time."""
    with (run.parent / "training.csv").open(newline="", encoding="utf-8") as file:
        curve = list(csv.DictReader(file))
    about = {"model": run.parent.parent.name, "run": run.parent.name, "samples": read_json(run)["samples"]}
    if not curve:  # a run on an empty mixture, which is its starting model
        return {**about, "steps": 0, "tokens": 0, "first_loss": "", "last_loss": "", "seconds": 0.0}
    return {
        **about,
        "steps": int(curve[-1]["step"]),
        "tokens": int(curve[-1]["tokens"]),
        "first_loss": round(float(curve[0]["loss"]), 4),
        "last_loss": round(float(curve[-1]["loss"]), 4),
        "seconds": float(curve[-1]["seconds"]),
    }


def token_row(shards: Path) -> dict[str, Any]:
    """Counts of samples of a split of one dataset that tokenization kept, cut and dropped."""
    tokenizer, dataset, split = shards.parts[-3:]
    return {"tokenizer": tokenizer, "dataset": dataset, "split": split, **read_json(shards / "report.json")}


def write_rows(path: Path, rows: Iterable[dict[str, Any]], columns: Iterable[str] = ()) -> None:
    """Write rows; the columns are those of all rows, in the order of their first appearance."""
    rows = list(rows)
    columns = list(dict.fromkeys([*columns, *(column for row in rows for column in row)]))
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval=0)
        writer.writeheader()
        writer.writerows(rows)
