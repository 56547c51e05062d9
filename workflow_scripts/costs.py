"""Compare the costs of an experiment so far with its plan, from the benchmark files of its jobs.

Writes OUTPUT.csv, with a row for each rule, and OUTPUT.md, and prints the latter. It can be called at any time. Failed,
killed and preempted attempts are not counted: a benchmark file describes the last attempt, which succeeded.
"""

import argparse
from pathlib import Path

from headpatterns import cli
from headpatterns.planning import costs


def main(arguments: argparse.Namespace) -> None:
    """Compare the times of finished jobs with their estimates, and project the times of the others."""
    costs.write(arguments.config, arguments.jobs, arguments.results, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = cli.parser(__doc__)
    made.add_argument("--config", type=Path, required=True, help="the experiment's config, all overlays merged")
    made.add_argument("--jobs", type=Path, required=True, help="table of its jobs, from a dry run of Snakemake")
    made.add_argument("--results", type=Path, required=True, help="the experiment's folder")
    made.add_argument("--output", type=Path, required=True, help="path of the output files without .csv and .md")
    return made


if __name__ == "__main__":
    cli.run(main, parser())
