"""Compare whole experiments: differences of their configs, their verdicts, and their main tables.

Writes comparison.html, comparison.md, config.csv, verdicts.csv and tables.csv. `headpatterns compare` compares two
checkpoints of any two models.
"""

import argparse
from pathlib import Path

from headpatterns import cli


def main(arguments: argparse.Namespace) -> None:
    """Compare them, and print the path of the page."""
    from headpatterns.report import comparison

    comparison.write(arguments.experiments, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = cli.parser(__doc__)
    made.add_argument(
        "--experiments", type=Path, nargs="*", default=[], help="two or more folders, below results/ or published"
    )
    made.add_argument("--output", type=Path, required=True, help="folder to write")
    return made


if __name__ == "__main__":
    cli.run(main, parser())
