"""Download one split of a dataset of the Hugging Face hub, at a pinned revision, as one parquet file."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.data.downloads import fetch_dataset


def main(arguments: argparse.Namespace) -> None:
    """Fetch it."""
    fetch_dataset(arguments.hub, arguments.name, arguments.split, arguments.revision, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--hub", required=True, help="id of the dataset")
    made.add_argument("--name", help="its configuration")
    made.add_argument("--split", required=True, help="its split")
    made.add_argument("--revision", required=True, help="commit of the dataset's repository")
    made.add_argument("--output", type=Path, required=True, help="parquet file")
    return made


if __name__ == "__main__":
    command_line.run(main, parser(), online=True)
