"""Compute the loss of samples under the last checkpoint of each run that trained only the weights of some heads.

For each run it writes a CSV with a row for each sample that choose_heads.py measures:

    heads  number of heads of the model
    id     of the sample
    loss   the mean over the tokens of its response (nats)
"""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.attribution import trained_heads
from headpatterns.errors import InputError


def main(arguments: argparse.Namespace) -> None:
    """Write the table of each run."""
    command_line.check_counts(arguments, "max_length", "threads", "samples")
    command_line.check_token_budget(arguments)
    if not len(arguments.run) == len(arguments.data) == len(arguments.output):
        raise InputError("give as many --data and --output as --run.")
    settings = trained_heads.Measuring(
        model=arguments.model,
        samples=arguments.samples,
        seed=arguments.seed,
        max_length=arguments.max_length,
        token_budget=arguments.token_budget,
        device=arguments.device,
        dtype=arguments.dtype,
        threads=arguments.threads,
    )
    trained_heads.measure(arguments.run, arguments.data, arguments.output, settings)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--model", type=Path, required=True, help="model folder, for its tokenizer")
    made.add_argument("--run", type=Path, nargs="+", required=True, help="folder of a run that started from the model")
    made.add_argument("--data", type=Path, nargs="+", required=True, help="for each run rows with prompt and response")
    made.add_argument("--output", type=Path, nargs="+", required=True, help="for each run a CSV")
    made.add_argument("--samples", type=int, default=32, help="samples whose loss is taken, as of choose_heads.py")
    made.add_argument("--seed", type=int, default=0, help="of these samples")
    command_line.add_computing(made)
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
