"""Show the progress of the last run of an experiment: finished, running, failed and remaining jobs, logs, time to go.

It reads the files of that run, needs no lock of Snakemake, and may be called at any time. It prints everything, and
writes RESULTS/status.json for programs.
"""

import argparse
from pathlib import Path

from headpatterns import cli
from headpatterns.status import report


def main(arguments: argparse.Namespace) -> None:
    """Print the progress."""
    report.write(arguments.results)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = cli.parser(__doc__)
    made.add_argument("--results", type=Path, required=True, help="the experiment's folder, results/EXPERIMENT")
    return made


if __name__ == "__main__":
    cli.run(main, parser())
