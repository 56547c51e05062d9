"""Download a model of the Hugging Face hub, at a pinned revision, into a folder."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.data.downloads import fetch_model


def main(arguments: argparse.Namespace) -> None:
    """Fetch it."""
    fetch_model(arguments.hub, arguments.revision, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--hub", required=True, help="id of the model")
    made.add_argument("--revision", required=True, help="commit of the model's repository")
    made.add_argument("--output", type=Path, required=True, help="folder of the model")
    return made


if __name__ == "__main__":
    command_line.run(main, parser(), online=True)
