"""Shared parts of the commands: options for rows and models, and the output of results and progress."""

import argparse
import contextlib
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from headpatterns import cli as command_line
from headpatterns import progress
from headpatterns.errors import InputError

ROWS = "rows with prompt, response, optionally id; jsonl, json, csv, tsv, parquet or arrow"
FOLDER = "folder in Hugging Face layout"
MODEL = f"{FOLDER}, GGUF file, or MODEL or MODEL/RUN of --experiment"
COUNTS = ("samples", "max_length", "threads", "resamples", "draws", "top", "budget")
"""Options that must be 1 or more, if a command has them."""


class Help(argparse.HelpFormatter):
    """Help that shows the default of an option if it has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        default = action.default
        if default is None or isinstance(default, bool) or default in ([], argparse.SUPPRESS):
            return action.help
        shown = " ".join(map(str, default)) if isinstance(default, list) else default
        return f"{action.help} (default: {shown})"


def number_or_all(word: str) -> int | None:
    """A number of samples; None for `all`."""
    return None if word == "all" else int(word)


def add_samples(own: argparse.ArgumentParser, most: int = 64, *, every: bool = True) -> None:
    """Options for the rows to read."""
    kind, words = (number_or_all, ", or all") if every else (int, "")
    own.add_argument(
        "--samples",
        type=kind,
        metavar="N",
        default=most,
        help=f"largest number of rows, chosen by a seeded draw{words}",
    )
    own.add_argument("--seed", type=int, metavar="N", default=0, help="seed of all random draws")


def add_tokens(own: argparse.ArgumentParser) -> None:
    """Options for the tokens of rows."""
    own.add_argument(
        "--template",
        metavar="NAME",
        help="prompt template: question, alpaca, chat, or your own text with {instruction}",
    )
    own.add_argument(
        "--max-length",
        type=int,
        metavar="N",
        default=1024,
        help="largest number of tokens per sample; longer samples are cut",
    )


def add_reading(own: argparse.ArgumentParser) -> None:
    """Options for the model that reads rows, and for its passes."""
    own.add_argument(
        "--experiment", type=Path, metavar="RESULTS", help="results/NAME, whose models and runs may be named"
    )
    add_tokens(own)
    command_line.add_token_budget(own)
    add_where(own)
    own.add_argument("--threads", type=int, metavar="N", help="processor threads; by default, one for each processor")


def add_where(own: argparse.ArgumentParser) -> None:
    """Options for device and number format."""
    own.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or mps")
    own.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"], help="of the weights")


def add_resamples(own: argparse.ArgumentParser) -> None:
    """The option for the resamples of the bootstrap."""
    own.add_argument("--resamples", type=int, metavar="N", default=1000, help="bootstrap replicates of the samples")


def add_showing(own: argparse.ArgumentParser) -> None:
    """Options for the output of results and progress."""
    own.add_argument("--json", action="store_true", help="print the result as JSON")
    own.add_argument(
        "--quiet", action="store_true", help="show no progress; without a terminal, no progress is shown in any case"
    )


def check(arguments: argparse.Namespace) -> None:
    """Refuse numbers that are too small, and an invalid token budget, before anything is read.

    Raises:
        InputError: an option has such a value.
    """
    command_line.check_counts(arguments, *(option for option in COUNTS if hasattr(arguments, option)))
    if getattr(arguments, "resamples", 2) < 2:
        raise InputError(f"--resamples is {arguments.resamples}: an interval needs at least 2, and 1000 are better.")
    if getattr(arguments, "seed", 0) < 0:
        raise InputError(f"--seed is {arguments.seed}: give 0 or a positive whole number.")
    if hasattr(arguments, "token_budget"):
        command_line.check_token_budget(arguments)


def reading(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of `add_reading`, as the functions of the package take them."""
    names = ("experiment", "template", "max_length", "token_budget", "device", "dtype", "threads")
    return {name: getattr(arguments, name) for name in names}


@contextlib.contextmanager
def working(arguments: argparse.Namespace) -> Iterator[None]:
    """Within the block, standard output is kept for the result, and a terminal shows progress bars."""
    bars = sys.stderr.isatty() and not arguments.quiet
    if not bars:
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # the bar of transformers for loading weights
    with contextlib.redirect_stdout(sys.stderr), progress.as_bars() if bars else progress.in_silence():
        yield


def named(given: list[str]) -> dict[str, str]:
    """Files by the name of the probe set, from words of the form FILE or NAME=FILE.

    Raises:
        InputError: a name is given twice.
    """
    found: dict[str, str] = {}
    for word in given:
        name, is_named, path = word.partition("=")
        if not is_named or Path(word).exists():
            name, path = Path(word).stem, word
        if name in found:
            raise InputError(f"--data names {name} twice: give one of them another name (--data NAME=FILE).")
        found[name] = path
    return found


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table for JSON, which has no NaN: null is used instead."""
    return [{str(name): _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_json(content: Any) -> None:
    """Print JSON on standard output."""
    print(json.dumps(content, indent=1, ensure_ascii=False))


def print_table(table: pd.DataFrame) -> None:
    """Print a table with three significant digits."""
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))


def print_files(files: Iterable[tuple[str, Path]]) -> None:
    """Print the paths of results."""
    for what, path in files:
        print(f"{what}: {path}")
