"""`headpatterns check-model` and `headpatterns show-sample`: checks of a model, and the tokens of a sample."""

import argparse
import dataclasses
import sys
from pathlib import Path

from headpatterns import extras
from headpatterns.commands import options
from headpatterns.errors import InputError

EXAMPLE_OF_MODEL = "headpatterns check-model models/llama"
EXAMPLE_OF_SAMPLE = "headpatterns show-sample models/llama rows.jsonl --id 7"


def add_model(own: argparse.ArgumentParser) -> None:
    """The options of check-model."""
    own.add_argument("model", type=Path, help=options.FOLDER)
    options.add_where(own)
    options.add_showing(own)


def run_model(arguments: argparse.Namespace) -> None:
    """Print the checks of a model, and refuse a model whose patterns cannot be computed."""
    extras.need("checking a model", "models")
    from headpatterns.attribution.check import REFUSED, check_model, line

    with options.working(arguments):
        rows = check_model(arguments.model, dtype=arguments.dtype, device=arguments.device, show=None)
    if arguments.json:
        options.print_json([dataclasses.asdict(row) for row in rows])
    else:
        print("\n".join(map(line, rows)))
    if rows[-1].result == REFUSED:
        raise InputError(rows[-1].detail)


def add_sample(own: argparse.ArgumentParser) -> None:
    """The options of show-sample."""
    own.add_argument("model", type=Path, help="folder with the tokenizer")
    own.add_argument("data", type=Path, help=options.ROWS)
    own.add_argument("--id", help="id of the sample; without it, the first sample is shown")
    options.add_tokens(own)
    options.add_showing(own)


def run_sample(arguments: argparse.Namespace) -> None:
    """Print a sample token by token, in colour on a terminal."""
    from headpatterns.data import sample, showing

    with options.working(arguments):
        tokenizer, found = sample.read_sample(
            arguments.model,
            arguments.data,
            arguments.id,
            template=arguments.template,
            max_length=arguments.max_length,
        )
    if not arguments.json:
        print(showing.shown(tokenizer, found, sys.stdout.isatty()))
        return
    lossy = showing.has_loss(found)
    tokens = [
        {"place": place, "id": id, "label": found.labels[place], "loss": lossy[place], "token": tokenizer.decode([id])}
        for place, id in enumerate(found.input_ids)
    ]
    options.print_json({"id": found.id, "response_tokens": found.response_tokens, "tokens": tokens})
