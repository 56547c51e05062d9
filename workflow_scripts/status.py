"""How far the last run of an experiment is: jobs done, running, failed and left by rule, ends of logs, time to go.

It reads what that run writes, needs no lock of Snakemake, and may be asked at any moment. Prints everything, and writes
RESULTS/status.json for programs.
"""

import argparse
from pathlib import Path

from headpatterns import cli
from headpatterns.status import report


def main(arguments: argparse.Namespace) -> None:
    """Print how far it is."""
    report.write(arguments.results)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = cli.parser(__doc__)
    made.add_argument("--results", type=Path, required=True, help="the experiment's folder, results/EXPERIMENT")
    return made


if __name__ == "__main__":
    cli.run(main, parser())
