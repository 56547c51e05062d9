"""`headpatterns select`: a pool ranked by how much its samples resemble a target."""

import argparse
from pathlib import Path

import headpatterns
from headpatterns.api.selecting import METHODS
from headpatterns.commands import options

EXAMPLE = "headpatterns select models/tuned pool.jsonl target.jsonl --budget 100"
SHOWN = 10
"""Samples of each method that are printed."""


def add(own: argparse.ArgumentParser) -> None:
    """Its options."""
    own.add_argument("model", help=f"{options.MODEL}; for Eq. 5, give a model that was fine-tuned on the target")
    own.add_argument("pool", type=Path, help=options.ROWS)
    own.add_argument("target", type=Path, help="rows that the pool is compared with")
    own.add_argument("--output", type=Path, default=Path("selection"), help="folder of ranking, rows and patterns")
    ways = f"methods to rank with ({', '.join(METHODS)}); pattern is Eq. 5"
    own.add_argument("--method", nargs="+", default=["pattern"], choices=METHODS, metavar="METHOD", help=ways)
    own.add_argument("--budget", type=int, nargs="+", metavar="N", help="how many of the best rows are written")
    options.add_reading(own)
    options.add_showing(own)


def run(arguments: argparse.Namespace) -> None:
    """Rank the pool, and print the best."""
    with options.working(arguments):
        found = headpatterns.select(
            arguments.model,
            arguments.pool,
            arguments.target,
            arguments.output,
            methods=arguments.method,
            budgets=arguments.budget or (),
            **options.reading(arguments),
        )
    if arguments.json:
        options.print_json(options.records(found.table))
        return
    options.print_table(found.table[found.table["rank"] <= SHOWN])
    options.print_files([("ranking", found.csv), *(("rows", path) for path in found.chosen.values())])
