"""Choose the training samples of a run by a seeded draw: as many as the smallest training set of its group has."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.data import training_sets


def main(arguments: argparse.Namespace) -> None:
    """Draw and write them."""
    command_line.check_counts(arguments, "most")
    training_sets.cut(
        arguments.tokenized, arguments.group, arguments.among, arguments.most, arguments.seed, arguments.output
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--tokenized", type=Path, required=True, help="shards of the run's dataset, {dataset}/{split}")
    made.add_argument("--group", type=Path, nargs="*", default=[], help="shards of the tasks that it is compared with")
    made.add_argument("--among", type=Path, help="CSV (dataset, id): choose only among these samples")
    made.add_argument("--most", type=int, help="largest number of samples to keep")
    made.add_argument("--seed", type=int, required=True, help="seed of the draw")
    made.add_argument("--output", type=Path, required=True, help="CSV of the training set (dataset, id)")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
