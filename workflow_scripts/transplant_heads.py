"""Move heads from each run of a model into the model and back, and write the loss of samples.

A head's weights are its rows of W_Q, W_K and W_V and its columns of W_O. A key and a value that several heads share
move only with all of these heads. For each run it writes a CSV with a row for each sample and choice of heads:

    direction   transplant: heads of the run's last checkpoint in the model; revert: heads of the model in it
    ranking     ranking of the first k heads: change, pattern, effect, weights, random; none for no head or all
    draw        number of the random order
    k           number of heads; 0 is the unchanged model or checkpoint
    heads       number of heads of the model
    id, loss    of the sample, the mean over the tokens of its response (nats)

Losses are computed on --samples samples, or on half of all if there are fewer than twice as many. Heads are ranked on
all other samples with patterns or ablations.
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
