"""What commands that choose heads of runs have in common: their options, and what these mean."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.attribution.head_choices import CHANGE, EFFECT, RANKINGS, Settings, Target
from headpatterns.errors import InputError


def add(made: argparse.ArgumentParser) -> None:
    """Add options for the runs, the rankings of their heads, and the computation of losses to a parser."""
    made.add_argument("--model", type=Path, required=True, help="model folder in Hugging Face layout")
    made.add_argument("--run", type=Path, nargs="+", required=True, help="folder of a run that started from that model")
    made.add_argument("--data", type=Path, nargs="+", required=True, help="for each run, rows with prompt and response")
    made.add_argument(
        "--patterns", type=Path, nargs="+", required=True, help="for each run, its patterns on these rows"
    )
    made.add_argument("--ablations", type=Path, nargs="+", help="for each run, the folder that ablate_heads.py wrote")
    made.add_argument("--output", type=Path, nargs="+", required=True, help="for each run, the CSV of losses to write")
    made.add_argument(
        "--samples", type=int, default=32, help="samples whose loss is computed; heads are ranked on the other samples"
    )
    made.add_argument(
        "--size", type=int, nargs="+", required=True, help="numbers of heads; all heads are taken as well"
    )
    made.add_argument(
        "--ranking", nargs="+", default=[CHANGE], choices=RANKINGS, help="what ranks the heads, the largest first"
    )
    made.add_argument("--draws", type=int, default=10, help="number of random orders of the heads")
    made.add_argument("--seed", type=int, default=0, help="seed of the choice of samples and of the random orders")
    command_line.add_computing(made)


def read(arguments: argparse.Namespace) -> tuple[list[Target], Settings]:
    """The runs with their files, and which heads are chosen.

    Raises:
        InputError: a number is too small, or there are not as many files as runs.
    """
    command_line.check_counts(arguments, "max_length", "threads", "samples", "draws", "size")
    command_line.check_token_budget(arguments)
    runs = len(arguments.run)
    if not runs == len(arguments.data) == len(arguments.patterns) == len(arguments.output):
        raise InputError("give as many --data, --patterns and --output as --run.")
    ablations = arguments.ablations or [None] * runs
    if len(ablations) != runs or (EFFECT in arguments.ranking and not arguments.ablations):
        raise InputError("give as many --ablations as --run if --ranking has effect, or else none.")
    settings = Settings(
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
    targets = map(Target, arguments.run, arguments.data, arguments.patterns, ablations, arguments.output)
    return list(targets), settings
