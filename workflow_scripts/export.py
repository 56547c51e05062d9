"""Publish the results of an experiment: patterns, numbers and figures as a folder, without models and rows of data."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.experiment.published import KEPT
from headpatterns.report import export


def main(arguments: argparse.Namespace) -> None:
    """Make the folder, and print what it has."""
    kept, size = export.export(
        arguments.results, arguments.output, arguments.paths, arguments.most_mb, arguments.richest
    )
    print(f"{arguments.output}: {size:.1f} MB, of patterns {kept}")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--results", type=Path, required=True, help="folder of the experiment")
    made.add_argument("--paths", type=Path, nargs="+", required=True, help="files and folders of it to publish")
    made.add_argument("--most-mb", type=float, default=8, help="MB of arrays up to which patterns of samples are kept")
    made.add_argument("--richest", choices=KEPT, default=KEPT[0], help="the most that the results have of patterns")
    made.add_argument("--output", type=Path, required=True, help="the folder; what was published there is replaced")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
