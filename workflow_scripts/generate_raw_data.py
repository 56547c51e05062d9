"""Write the raw files of one dataset of the embedded experiment, in the schema of its upstream release."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.data.embedded.registry import GENERATORS, generate


def main(arguments: argparse.Namespace) -> None:
    """Write the folder."""
    generate(arguments.generator, arguments.output, arguments.train, arguments.test, arguments.seed)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--generator", required=True, help=f"the dataset: {', '.join(GENERATORS)}")
    made.add_argument("--train", type=int, required=True, help="training rows")
    made.add_argument("--test", type=int, required=True, help="probe rows")
    made.add_argument("--seed", type=int, default=0, help="seed of all random draws")
    made.add_argument("--output", type=Path, required=True, help="folder to write; the whole folder is replaced")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
