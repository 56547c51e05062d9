"""Check that the hub and other sources have every model and dataset of a config, before anything is downloaded."""

import argparse
import json
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.data.hub_check import check


def main(arguments: argparse.Namespace) -> None:
    """Check all of them, and report all problems at once."""
    check(json.loads(arguments.sources), arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument(
        "--sources",
        required=True,
        help="JSON list of {kind, hub, revision, output}, for a dataset also name and split; for a pinned "
        "dataset, its row of config/datasets.csv",
    )
    made.add_argument("--output", type=Path, required=True, help="JSON of the sources and their bytes")
    return made


if __name__ == "__main__":
    command_line.run(main, parser(), online=True)
