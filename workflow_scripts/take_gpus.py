"""Run a command on GPUs of this machine that no other such command uses, waiting until enough of them are free.

A cluster binds jobs to GPUs; on a machine without one, jobs that run side by side share them out by this script.
"""

import argparse

from headpatterns import cli as command_line
from headpatterns.cluster import gpus


def main(arguments: argparse.Namespace) -> None:
    """Become the command, with CUDA_VISIBLE_DEVICES naming its GPUs."""
    gpus.run_on(arguments.count, arguments.command)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--count", type=int, required=True, help="number of GPUs that the command needs")
    made.add_argument("command", nargs="+", help="the command, after --")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
