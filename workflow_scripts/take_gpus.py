"""Wait until enough GPUs of this machine are free, and run a command on them that has them alone.

A cluster assigns GPUs to jobs. On a machine without a scheduler, concurrent jobs share its GPUs with this script.
"""

import argparse

from headpatterns import cli as command_line
from headpatterns.cluster import gpus


def main(arguments: argparse.Namespace) -> None:
    """Replace this process by the command, with its GPUs in CUDA_VISIBLE_DEVICES."""
    gpus.run_on(arguments.count, arguments.command)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--count", type=int, required=True, help="number of GPUs that the command needs")
    made.add_argument("command", nargs="+", help="the command, after --")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
