"""What an experiment has cost so far, beside what was planned for it: from the benchmark files of its jobs.

Writes OUTPUT.csv, a row for each rule, and OUTPUT.md, and prints the latter. It can be asked for at any moment.
Attempts that failed, were killed or preempted are not in it: a benchmark file is of the last attempt, which succeeded.
"""

import argparse
from pathlib import Path

from headpatterns import cli
from headpatterns.planning import costs


def main(arguments: argparse.Namespace) -> None:
    """Set the times of the jobs that are done beside their estimates, and project those that are not."""
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
