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

from headpatterns import cli as command_line
from headpatterns.attribution import choice_options, transplant


def main(arguments: argparse.Namespace) -> None:
    """Write the table of each run."""
    transplant.of_runs(*choice_options.read(arguments))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    choice_options.add(made)
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
