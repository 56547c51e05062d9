"""Check that an interpreter has OpenCompass and its dependencies, in the versions that envs/opencompass.txt pins."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.evaluation import checks

PINS = Path(__file__).resolve().parents[1] / "envs" / "opencompass.txt"


def main(arguments: argparse.Namespace) -> None:
    """Ask the interpreter and write its versions."""
    checks.opencompass(arguments.python, PINS, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--python", required=True, help="interpreter of the OpenCompass environment, a path or a name")
    p.add_argument("--output", type=Path, required=True, help="versions and platform, as JSON")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
