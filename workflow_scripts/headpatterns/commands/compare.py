"""`headpatterns compare`: two checkpoints side by side."""

import argparse
from pathlib import Path

import headpatterns
from headpatterns.attribution.patterns import REDUCTIONS
from headpatterns.commands import options

EXAMPLE = "headpatterns compare models/base models/tuned --data rows.jsonl"


def add(own: argparse.ArgumentParser) -> None:
    """Its options."""
    own.add_argument("first", help=f"A: {options.MODEL}")
    own.add_argument("second", help="B: likewise")
    own.add_argument("--data", nargs="+", required=True, metavar="[NAME=]FILE", help=options.ROWS)
    own.add_argument("--output", type=Path, default=Path("comparison"), help="folder of page, table and patterns")
    own.add_argument("--reduction", default="abs_of_sum", choices=REDUCTIONS, help="reduction: how Eq. 2 is read")
    options.add_samples(own)
    options.add_reading(own)
    options.add_resamples(own)
    options.add_showing(own)


def run(arguments: argparse.Namespace) -> None:
    """Compare them, and print the path of the page; with --json, print the numbers of whole patterns."""
    with options.working(arguments):
        found = headpatterns.compare(
            arguments.first,
            arguments.second,
            options.named(arguments.data),
            arguments.output,
            samples=arguments.samples,
            reduction=arguments.reduction,
            resamples=arguments.resamples,
            seed=arguments.seed,
            **options.reading(arguments),
        )
    if arguments.json:
        whole = found.table[(found.table["layer"] == "") & (found.table["head"] == "")]
        options.print_json(options.records(whole.drop(columns=["layer", "head"])))
    else:
        options.print_files([("page", found.page), ("table", found.csv), ("patterns", found.patterns)])
