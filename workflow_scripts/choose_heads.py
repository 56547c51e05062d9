"""Choose the heads of a model that are trained alone, with the results of each run that trained all weights.

For each run and choice of heads it writes a CSV with a row for each head, its layer and head, which finetune.py reads.
The choices are the first heads of each ranking, the first heads of each random order, and all heads. The name of a
choice has ranking, draw and number: change-4, random0-4 or all. For each run it writes a CSV with a row for each
measured sample:

    id             of the sample
    before, after  its loss under the model and under the run's last checkpoint, the mean over its response (nats)

Losses are computed on --samples samples, or on half of all if there are fewer than twice as many. Heads are ranked on
all other samples with patterns or ablations.
"""

import argparse

from headpatterns import cli as command_line
from headpatterns.attribution import choice_options, trained_heads
from headpatterns.errors import InputError


def main(arguments: argparse.Namespace) -> None:
    """Write the heads of each choice, and the losses of each run."""
    targets, settings = choice_options.read(arguments)
    if len(arguments.heads_output) != len(targets):
        raise InputError("give as many --heads-output as --run.")
    trained_heads.choose(targets, arguments.heads_output, settings)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    choice_options.add(made)
    made.add_argument(
        "--heads-output", nargs="+", required=True, help="for each run, the CSV of heads, with {choice} for its name"
    )
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
