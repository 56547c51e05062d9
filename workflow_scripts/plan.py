"""Estimate the costs of an experiment before it starts: jobs, hours, disk and downloads, with their formulas.

Writes OUTPUT.csv, with a row for each rule, and OUTPUT.md, with everything; the tables are also printed.
"""

import argparse
from pathlib import Path

from headpatterns import cli
from headpatterns.planning import plan


def main(arguments: argparse.Namespace) -> None:
    """Estimate, write the two files, and print everything except the formulas."""
    plan.write(arguments.config, arguments.jobs, arguments.results, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = cli.parser(__doc__)
    made.add_argument("--config", type=Path, required=True, help="the experiment's config, all overlays merged")
    made.add_argument("--jobs", type=Path, required=True, help="table of its jobs, from a dry run of Snakemake")
    made.add_argument("--results", type=Path, required=True, help="the experiment's folder; it need not exist yet")
    made.add_argument("--output", type=Path, required=True, help="path of the output files without .csv and .md")
    return made


if __name__ == "__main__":
    cli.run(main, parser())
