"""Compute the losses of every task's samples under a model and under the last checkpoint of each of its runs.

This shows the effect of a run on one task for all tasks. For each run it writes a CSV with a row for each sample of
each task:

    task     name of the task
    id       of the sample
    tokens   of its response
    before   its loss under the model, the mean over these tokens (nats)
    after    its loss under the run's last checkpoint
"""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.attribution import transfer
from headpatterns.errors import InputError


def main(arguments: argparse.Namespace) -> None:
    """Write the table of each run."""
    command_line.check_counts(arguments, "max_length", "threads")
    command_line.check_token_budget(arguments)
    if len(arguments.run) != len(arguments.output):
        raise InputError("give as many --output as --run.")
    settings = transfer.Settings(
        model=arguments.model,
        max_length=arguments.max_length,
        token_budget=arguments.token_budget,
        device=arguments.device,
        dtype=arguments.dtype,
        threads=arguments.threads,
    )
    tasks = command_line.paths_by_name(arguments.task, "--task", "NAME=FILE")
    transfer.of_runs(dict(zip(arguments.run, arguments.output, strict=True)), tasks, settings)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--model", type=Path, required=True, help="model folder in Hugging Face layout")
    made.add_argument("--run", type=Path, nargs="+", required=True, help="folder of a run that started from that model")
    made.add_argument("--output", type=Path, nargs="+", required=True, help="for each run, the CSV to write")
    made.add_argument("--task", nargs="+", required=True, help="NAME=FILE: rows of a task with prompt and response")
    command_line.add_computing(made)
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
