"""What an experiment will cost before it starts: jobs, hours, disk and downloads, with the formulas behind them.

Writes OUTPUT.csv, a row for each rule, and OUTPUT.md, which says everything; the tables are printed too.
"""

import argparse
from pathlib import Path

from headpatterns import cli
from headpatterns.planning import plan


def main(arguments: argparse.Namespace) -> None:
    """Estimate, write the two files, and print what is not formulas."""
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
