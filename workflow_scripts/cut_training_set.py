"""Choose the training samples of a run by a seeded draw: as many as the smallest training set of its group has."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns import tidy
from headpatterns.data import training_sets
from headpatterns.data.splitting import rank
from headpatterns.errors import InputError


def main(arguments: argparse.Namespace) -> None:
    """Rank the samples by a seeded hash and keep the first; their order in the CSV is the rank."""
    ids = read_ids(arguments.tokenized)
    if arguments.among:
        listed = {id for _, id in training_sets.read(arguments.among)}
        ids = [id for id in ids if id in listed]
        if not ids:
            raise InputError(f"{arguments.tokenized} holds no sample that {arguments.among} lists: check the data.")
    sizes = {arguments.tokenized: len(ids), **{folder: len(read_ids(folder)) for folder in arguments.group}}
    size = min(sizes.values())
    if not size:
        raise InputError(f"{min(sizes, key=sizes.get)} holds no sample: check the data behind it.")
    chosen = sorted(ids, key=lambda id: rank(arguments.seed, id))[:size]
    dataset = arguments.tokenized.parent.name
    training_sets.write(arguments.output, [(dataset, id) for id in chosen])


def read_ids(folder: Path) -> list[str]:
    """Ids of the samples that tokenization kept."""
    return [row["id"] for row in tidy.read(folder / "samples.csv", ("id",))]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--tokenized", type=Path, required=True, help="shards of the run's dataset, {dataset}/{split}")
    made.add_argument("--group", type=Path, nargs="*", default=[], help="shards of the tasks it is compared with")
    made.add_argument("--among", type=Path, help="CSV (dataset, id): choose among these samples alone")
    made.add_argument("--seed", type=int, required=True, help="seed of the draw")
    made.add_argument("--output", type=Path, required=True, help="CSV of the training set (dataset, id)")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
