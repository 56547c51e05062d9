"""Choose the training samples of a run: as many as the smallest training set of its group has, by a seeded draw."""

import argparse
import csv
from pathlib import Path

import command_line
from headpatterns import tidy
from headpatterns.errors import InputError
from headpatterns.instructions.splitting import rank


def main(arguments: argparse.Namespace) -> None:
    """Rank the samples by a seeded hash and keep the first; their order in the CSV is the rank."""
    sizes = {folder: len(read_ids(folder)) for folder in [arguments.tokenized, *arguments.group]}
    size = min(sizes.values())
    if not size:
        raise InputError(f"{min(sizes, key=sizes.get)} holds no sample: check the data behind it.")
    chosen = sorted(read_ids(arguments.tokenized), key=lambda id: rank(arguments.seed, id))[:size]
    tidy.write(arguments.output, ("dataset", "id"), [(arguments.tokenized.parent.name, id) for id in chosen])


def read_ids(folder: Path) -> list[str]:
    """Ids of the samples that tokenization kept."""
    with (folder / "samples.csv").open(newline="", encoding="utf-8") as file:
        return [row["id"] for row in csv.DictReader(file)]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--tokenized", type=Path, required=True, help="shards of the run's dataset, {dataset}/{split}")
    made.add_argument("--group", type=Path, nargs="*", default=[], help="shards of the tasks it is compared with")
    made.add_argument("--seed", type=int, required=True, help="seed of the draw")
    made.add_argument("--output", type=Path, required=True, help="CSV of the training set (dataset, id)")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
