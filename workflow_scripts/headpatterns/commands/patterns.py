"""`headpatterns patterns`: activation patterns of a model on the rows of a file."""

import argparse
from pathlib import Path

import headpatterns
from headpatterns.attribution.patterns import REDUCTIONS
from headpatterns.commands import options

EXAMPLE = "headpatterns patterns models/llama rows.jsonl --output llama.npy"


def add(own: argparse.ArgumentParser) -> None:
    """Its options."""
    own.add_argument("model", help=options.MODEL)
    own.add_argument("data", type=Path, help=options.ROWS)
    own.add_argument(
        "--output",
        type=Path,
        default=Path("patterns.npy"),
        help="OUT.npy; the other files are written to the same folder",
    )
    own.add_argument("--reduction", default="abs_of_sum", choices=REDUCTIONS, help="reduction: how Eq. 2 is read")
    own.add_argument(
        "--also", nargs="+", default=[], choices=REDUCTIONS, help="further reductions, from the same passes"
    )
    options.add_samples(own)
    options.add_reading(own)
    options.add_resamples(own)
    options.add_showing(own)


def run(arguments: argparse.Namespace) -> None:
    """Compute the patterns, and print their statistics."""
    with options.working(arguments):
        found = headpatterns.patterns(
            arguments.model,
            arguments.data,
            arguments.output,
            samples=arguments.samples,
            reduction=arguments.reduction,
            also=arguments.also,
            seed=arguments.seed,
            **options.reading(arguments),
        )
        name = arguments.output.stem
        statistics = headpatterns.concentration({name: found}, resamples=arguments.resamples, seed=arguments.seed)
    statistics = statistics.drop(columns="pattern")
    if arguments.json:
        options.print_json(
            {
                "output": str(arguments.output),
                "samples": len(found.ids),
                "layers": found.layers,
                "heads": found.mean.shape[1],
                "statistics": options.records(statistics),
                "pattern": found.mean.tolist(),
            }
        )
        return
    layers, heads = found.mean.shape
    print(f"{len(found.ids)} samples, {layers} layers of {heads} heads")
    options.print_table(statistics)
    options.print_files(
        [
            ("pattern", arguments.output),
            ("samples", arguments.output.with_suffix(".samples.npy")),
            ("about", arguments.output.with_suffix(".json")),
        ]
    )
