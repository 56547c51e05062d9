"""Measure the effects that a study's claims are about: each an estimate with its error term, as one CSV."""

import argparse
import json
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns import provenance
from headpatterns.studies import commands


def main(arguments: argparse.Namespace) -> None:
    """Measure the effects and write them."""
    print(json.dumps(provenance.environment()))
    commands.measure(arguments.name, arguments.inputs, arguments.settings, arguments.reading, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("name", help="name of the effects, such as adaptation")
    p.add_argument("--inputs", required=True, metavar="JSON", help="JSON object: a path or a list of paths by keyword")
    p.add_argument("--settings", default="{}", metavar="JSON", help="JSON object: values by keyword")
    p.add_argument(
        "--reading", default="{}", metavar="JSON", help="JSON object: how patterns are read, if the effects read any"
    )
    p.add_argument("--output", type=Path, required=True, help="CSV of the effects")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
