"""Publish the results of an experiment: patterns, numbers and figures as a folder, without models and rows of data."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.experiment.published import KEPT
from headpatterns.report import export


def main(arguments: argparse.Namespace) -> None:
    """Make the folder, and print a summary of its contents."""
    kept, size = export.export(
        arguments.results, arguments.output, arguments.paths, arguments.most_mb, arguments.richest
    )
    print(f"{arguments.output}: {size:.1f} MB; kept of the patterns: {kept}")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--results", type=Path, required=True, help="folder of the experiment")
    made.add_argument(
        "--paths", type=Path, nargs="+", required=True, help="files and folders of the experiment to publish"
    )
    made.add_argument(
        "--most-mb", type=float, default=8, help="keep the patterns of samples if the arrays have at most this many MB"
    )
    made.add_argument("--richest", choices=KEPT, default=KEPT[0], help="the finest patterns that the results have")
    made.add_argument("--output", type=Path, required=True, help="folder to write; replaces what was published there")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
