"""Split a dataset by domain: pseudo-private samples, the domain's target, and a pool of everything else (§5.2)."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.studies.selection import domains


def main(arguments: argparse.Namespace) -> None:
    """Write the parts and the report into the output folder."""
    domains.split(
        domains.Domain(
            arguments.dataset, arguments.domain, arguments.tags, arguments.train, arguments.probe, arguments.related
        ),
        arguments.largest_budget,
        arguments.output,
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--dataset", required=True, help="name of the dataset in the CSV files")
    made.add_argument("--domain", required=True, help="name of the domain in report and messages")
    made.add_argument("--tags", nargs="+", required=True, help="tags of the domain")
    made.add_argument(
        "--related", nargs="+", default=[], help="tags outside of the domain that share its relations, if known"
    )
    made.add_argument("--train", type=Path, required=True, help="training rows: parquet with id, prompt, tags, choices")
    made.add_argument("--probe", type=Path, required=True, help="probe rows: parquet with id, prompt, tags, choices")
    made.add_argument(
        "--largest-budget",
        type=int,
        default=1,
        help="largest number of samples that will be selected from the pool",
    )
    made.add_argument("--output", type=Path, required=True, help="folder to write")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
