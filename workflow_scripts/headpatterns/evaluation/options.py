"""Command-line options for the workflow's own evaluation sets."""

import argparse

from headpatterns import cli
from headpatterns.errors import InputError
from headpatterns.evaluation.sets import GENERATE, SCORINGS, Asked


def add(made: argparse.ArgumentParser) -> None:
    """Add the options of sets to a parser."""
    add = made.add_argument
    add(
        "--set",
        nargs="+",
        action="append",
        default=[],
        metavar=("NAME", "FILE"),
        help="an evaluation set: NAME PARQUET [IDS_CSV], where PARQUET is an instructions file; IDS_CSV selects "
        "some of its ids",
    )
    add(
        "--scoring",
        choices=SCORINGS,
        default=GENERATE,
        help="how items with options are answered; for other items, the answer is always generated",
    )
    add("--scored", nargs="+", default=[], metavar="NAME=SCORING", help="the same for single sets")
    add("--shots", type=int, default=0, help="solved examples before each prompt")
    add(
        "--examples",
        nargs="+",
        default=[],
        metavar="NAME=PARQUET",
        help="instructions files that the examples are taken from",
    )
    add("--lenient", nargs="+", default=[], metavar="NAME", help="sets that do not need gold answers")


def asked(arguments: argparse.Namespace) -> Asked:
    """The sets that the options name.

    Raises:
        InputError: the number of examples is negative, or a word has the wrong form.
    """
    if arguments.shots < 0:
        raise InputError(f"--shots is {arguments.shots}: give 0 or more.")
    examples = cli.paths_by_name(arguments.examples, "--examples", "NAME=PARQUET")
    return Asked(
        given=arguments.set,
        scoring=arguments.scoring,
        scored=cli.by_name(arguments.scored, "--scored", "NAME=SCORING"),
        shots=arguments.shots,
        examples=examples,
        lenient=arguments.lenient,
    )
