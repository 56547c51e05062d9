"""Draw the figures of a study from its tables, each as PDF, SVG and PNG."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.studies import commands


def main(arguments: argparse.Namespace) -> None:
    """Draw the figures and write them."""
    commands.draw(arguments.name, arguments.inputs, arguments.settings, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("name", help="name of the drawing, such as figure2")
    p.add_argument("--inputs", required=True, metavar="JSON", help="JSON object: a path or a list of paths by keyword")
    p.add_argument("--settings", default="{}", metavar="JSON", help="JSON object: values by keyword")
    p.add_argument("--output", type=Path, required=True, help="folder of the figures")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
