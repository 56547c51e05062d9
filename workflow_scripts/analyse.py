"""Compute the tables of an analysis: a study's numbers from patterns, ablations or evaluations, as tidy CSV files."""

import argparse
import json

from headpatterns import cli as command_line
from headpatterns import provenance
from headpatterns.studies import commands


def main(arguments: argparse.Namespace) -> None:
    """Compute the tables and write them."""
    print(json.dumps(provenance.environment()))
    commands.analyse(arguments.name, arguments.inputs, arguments.outputs, arguments.settings)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("name", help="name of the analysis, such as similarity")
    p.add_argument("--inputs", required=True, metavar="JSON", help="JSON object: a path or a list of paths by keyword")
    p.add_argument(
        "--outputs", required=True, metavar="JSON", help="JSON object: the CSV file of each table by its key"
    )
    p.add_argument("--settings", default="{}", metavar="JSON", help="JSON object: values by keyword")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
