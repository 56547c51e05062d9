"""Chooses the heads of a model whose weights alone are trained, by each run that trained all weights.

For each run and choice of heads a CSV with a row for each head, its layer and head, which finetune.py reads. The first
heads by each ranking are chosen, those of each random order, and all heads. A choice is called change-4, random0-4 or
all, by ranking, draw and number. And for each run a CSV with a row for each sample whose loss is taken:

    id             of the sample
    before, after  its loss under the model and under the run's last checkpoint, the mean over its response (nats)

Losses are taken of --samples samples, or of half of all where these are fewer than twice as many. Heads are ranked on
all others that patterns, or ablations, were taken of.
"""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.attribution import head_choices, trained_heads
from headpatterns.errors import InputError


def main(arguments: argparse.Namespace) -> None:
    """Write the heads of each choice, and the losses of each run."""
    command_line.check_counts(arguments, "max_length", "threads", "samples", "draws", "size")
    command_line.check_token_budget(arguments)
    runs = len(arguments.run)
    others = (arguments.data, arguments.patterns, arguments.output, arguments.heads_output)
    if any(len(given) != runs for given in others):
        raise InputError("give as many --data, --patterns, --output and --heads-output as --run.")
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
    trained_heads.choose(list(targets), arguments.heads_output, settings)


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
    made.add_argument("--output", type=Path, nargs="+", required=True, help="for each run, the CSV of its losses")
    made.add_argument(
        "--heads-output", nargs="+", required=True, help="for each run, the CSV of heads, with {choice} for its name"
    )
    made.add_argument(
        "--samples", type=int, default=32, help="samples whose loss is computed; heads are ranked on the others"
    )
    made.add_argument(
        "--size", type=int, nargs="+", required=True, help="numbers of heads to choose; all heads are chosen as well"
    )
    made.add_argument(
        "--ranking", nargs="+", default=["change"], choices=head_choices.RANKINGS, help="what ranks the heads"
    )
    made.add_argument("--draws", type=int, default=10, help="number of random orders of the heads")
    made.add_argument("--seed", type=int, default=0, help="seed of the choice of samples and of the random orders")
    command_line.add_computing(made)
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
