"""Moves heads from each run of a model into the model and back, and writes what the loss of samples is then.

A head's weights are its rows of W_Q, W_K and W_V and its columns of W_O. Heads that share a key and a value move these
when all of them are taken. For each run a CSV with a row for each sample under each choice of heads:

    direction   transplant: heads of the run's last checkpoint in the model; revert: heads of the model in it
    ranking     by what the first k heads were chosen: change, pattern, effect, weights, random; none for no head or all
    draw        number of the random order
    k           number of heads; 0 is the model, or the checkpoint, as it is
    heads       of the model in all
    id, loss    of the sample, the mean over the tokens of its response (nats)

Losses are taken of --samples samples, or of half of all where these are fewer than twice as many. Heads are ranked on
all others that patterns, or ablations, were taken of.
"""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.attribution import head_choices, transplant
from headpatterns.errors import InputError


def main(arguments: argparse.Namespace) -> None:
    """Write the table of each run."""
    command_line.check_counts(arguments, "max_length", "threads", "samples", "draws", "size")
    command_line.check_token_budget(arguments)
    runs = len(arguments.run)
    if not runs == len(arguments.data) == len(arguments.patterns) == len(arguments.output):
        raise InputError("give as many --data, --patterns and --output as --run.")
    ablations = arguments.ablations or [None] * runs
    if len(ablations) != runs or (head_choices.EFFECT in arguments.ranking and not arguments.ablations):
        raise InputError("give as many --ablations as --run if --ranking has effect, or else none.")
    settings = head_choices.Settings(
        model=arguments.model,
        samples=arguments.samples,
        sizes=sorted(set(arguments.size)),
        rankings=arguments.ranking,
        draws=arguments.draws,
        seed=arguments.seed,
        max_length=arguments.max_length,
        token_budget=arguments.token_budget,
        device=arguments.device,
        dtype=arguments.dtype,
        threads=arguments.threads,
    )
    targets = map(head_choices.Target, arguments.run, arguments.data, arguments.patterns, ablations, arguments.output)
    transplant.of_runs(list(targets), settings)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--model", type=Path, required=True, help="model folder in Hugging Face layout")
    made.add_argument("--run", type=Path, nargs="+", required=True, help="folder of a run that started from that model")
    made.add_argument("--data", type=Path, nargs="+", required=True, help="for each run, rows with prompt and response")
    made.add_argument(
        "--patterns", type=Path, nargs="+", required=True, help="for each run, its patterns on these rows"
    )
    made.add_argument("--ablations", type=Path, nargs="+", help="for each run, the folder that ablate_heads.py wrote")
    made.add_argument("--output", type=Path, nargs="+", required=True, help="for each run, the CSV to write")
    made.add_argument(
        "--samples", type=int, default=32, help="samples whose loss is computed; heads are ranked on the other samples"
    )
    made.add_argument(
        "--size", type=int, nargs="+", required=True, help="numbers of heads to move; all heads are moved as well"
    )
    made.add_argument(
        "--ranking",
        nargs="+",
        default=["change"],
        choices=head_choices.RANKINGS,
        help="what ranks the heads, the largest first",
    )
    made.add_argument("--draws", type=int, default=10, help="number of random orders of the heads")
    made.add_argument("--seed", type=int, default=0, help="seed of the choice of samples and of the random orders")
    command_line.add_computing(made)
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
