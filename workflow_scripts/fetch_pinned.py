"""Download the files of a dataset of config/datasets.csv into a folder."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.data.downloads import fetch_pinned
from headpatterns.data.hub_check import checked_source


def main(arguments: argparse.Namespace) -> None:
    """Fetch them."""
    fetch_pinned(checked_source(arguments.checked, arguments.dataset), arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--dataset", required=True, help="name of the dataset in the table")
    made.add_argument("--checked", type=Path, required=True, help="JSON file of check_hub, which has the source")
    made.add_argument("--output", type=Path, required=True, help="folder of the files")
    return made


if __name__ == "__main__":
    command_line.run(main, parser(), online=True)
