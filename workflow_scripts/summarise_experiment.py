"""What went into an experiment, as tables for the report: data, runs, time spent, and provenance."""

import argparse
import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from headpatterns import cli as command_line
from headpatterns import provenance, timings
from headpatterns.experiment import config as experiment
from headpatterns.io import atomic_path, read_json, write_json
from headpatterns.planning.jobs import jobs


def main(arguments: argparse.Namespace) -> None:
    """Write data.csv, tokens.csv, training.csv, timings.csv and provenance.json."""
    write_csv(arguments.data_output, [row for path in arguments.instructions for row in data_rows(path)])
    write_csv(arguments.training_output, map(training_row, arguments.runs))
    write_csv(arguments.tokens_output, map(token_row, arguments.tokenized))
    done = timings.measured(arguments.benchmarks, jobs(experiment.read_config(arguments.config)))
    write_csv(arguments.timings_output, timings.rows(done), timings.COLUMNS)
    write_json(arguments.provenance_output, {**arguments.settings, **provenance.environment()})


def data_rows(report: Path) -> Iterable[dict[str, Any]]:
    """A row for each split of a dataset: rows read and what became of them."""
    content = read_json(report)
    for split, counts in content["splits"].items():
        plain = {name: sum(value.values()) if isinstance(value, dict) else value for name, value in counts.items()}
        yield {"dataset": content["dataset"], "split": split, **plain}


def training_row(run: Path) -> dict[str, Any]:
    """A run in one line: samples, steps, tokens, loss at both ends of training, time."""
    with (run.parent / "training.csv").open(newline="", encoding="utf-8") as file:
        curve = list(csv.DictReader(file))
    about = {"model": run.parent.parent.name, "run": run.parent.name, "samples": read_json(run)["samples"]}
    if not curve:  # a run on an empty mixture, which is the model that it started from
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
    """What tokenization kept, cut and dropped of a split of one dataset."""
    tokenizer, dataset, split = shards.parts[-3:]
    return {"tokenizer": tokenizer, "dataset": dataset, "split": split, **read_json(shards / "report.json")}


def write_csv(path: Path, rows: Iterable[dict[str, Any]], columns: Iterable[str] = ()) -> None:
    """Write rows; the columns are those of all rows, in the order of their first appearance."""
    rows = list(rows)
    columns = list(dict.fromkeys([*columns, *(column for row in rows for column in row)]))
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval=0)
        writer.writeheader()
        writer.writerows(rows)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--instructions", type=Path, nargs="+", required=True, help="report.json of each dataset")
    made.add_argument("--runs", type=Path, nargs="+", required=True, help="run.json of each run")
    made.add_argument("--tokenized", type=Path, nargs="+", required=True, help="shards {tokenizer}/{dataset}/{split}")
    made.add_argument("--config", type=Path, required=True, help="the config, whose jobs alone are counted")
    made.add_argument("--benchmarks", type=Path, required=True, help="folder of Snakemake's benchmark files")
    made.add_argument("--settings", type=json.loads, required=True, help="JSON put into the provenance")
    made.add_argument("--data-output", type=Path, required=True, help="CSV")
    made.add_argument("--tokens-output", type=Path, required=True, help="CSV")
    made.add_argument("--training-output", type=Path, required=True, help="CSV")
    made.add_argument("--timings-output", type=Path, required=True, help="CSV")
    made.add_argument("--provenance-output", type=Path, required=True, help="JSON")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
