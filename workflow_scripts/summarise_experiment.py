"""Write the inputs of an experiment as tables for the report: data, runs, time spent, and provenance."""

import argparse
import json
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.report import summary


def main(arguments: argparse.Namespace) -> None:
    """Write data.csv, tokens.csv, training.csv, timings.csv and provenance.json."""
    summary.summarise(
        summary.Inputs(
            instructions=arguments.instructions,
            runs=arguments.runs,
            tokenized=arguments.tokenized,
            jobs=arguments.jobs,
            benchmarks=arguments.benchmarks,
            converted=command_line.paths_by_name(arguments.converted, "--converted", "NAME=FILE"),
            patterns=arguments.patterns,
            ablations=arguments.ablations,
            logs=arguments.logs,
            settings=arguments.settings,
        ),
        summary.Outputs(
            data=arguments.data_output,
            tokens=arguments.tokens_output,
            training=arguments.training_output,
            timings=arguments.timings_output,
            provenance=arguments.provenance_output,
        ),
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--instructions", type=Path, nargs="+", required=True, help="report.json of each dataset")
    made.add_argument("--runs", type=Path, nargs="*", required=True, help="run.json of each run")
    made.add_argument("--tokenized", type=Path, nargs="*", required=True, help="shards {tokenizer}/{dataset}/{split}")
    made.add_argument("--jobs", type=Path, required=True, help="CSV of the experiment's jobs; only these are counted")
    made.add_argument("--benchmarks", type=Path, required=True, help="folder of Snakemake's benchmark files")
    made.add_argument("--converted", nargs="*", default=[], help="NAME=FILE: gguf.json of a model from a GGUF file")
    made.add_argument("--patterns", type=Path, nargs="*", default=[], help="folders of patterns")
    made.add_argument("--ablations", type=Path, nargs="*", default=[], help="folders of ablations")
    made.add_argument("--logs", type=Path, nargs="*", default=[], help="logs of the analyses")
    made.add_argument("--settings", type=json.loads, required=True, help="JSON files that are added to the provenance")
    made.add_argument("--data-output", type=Path, required=True, help="CSV")
    made.add_argument("--tokens-output", type=Path, required=True, help="CSV")
    made.add_argument("--training-output", type=Path, required=True, help="CSV")
    made.add_argument("--timings-output", type=Path, required=True, help="CSV")
    made.add_argument("--provenance-output", type=Path, required=True, help="JSON")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
