"""Lists of samples as CSV files with the columns `dataset` and `id`: training sets, pools, the items of a domain."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from headpatterns.data.splitting import rank
from headpatterns.errors import InputError
from headpatterns.io import read_csv, write_csv

COLUMNS = ("dataset", "id")

Sample = tuple[str, str]


def read(path: Path) -> list[Sample]:
    """The samples (dataset, id), in the file's order; further columns are ignored.

    Raises:
        InputError: the file is missing, is not CSV, or lacks a column.
    """
    return [(row["dataset"], row["id"]) for row in read_csv(path, COLUMNS)]


def write(path: Path, samples: Iterable[Sample]) -> None:
    """Write samples in the order given, atomically."""
    write_csv(path, COLUMNS, samples)


def cut(tokenized: Path, group: Sequence[Path], among: Path | None, most: int | None, seed: int, output: Path) -> None:
    """Choose the samples of a run by a seeded draw: as many as the smallest training set of its group has.

    Samples are ranked by a seeded hash and the first ones are kept, at most `most`. `output` lists them by rank.

    Args:
        tokenized: shards of the run's dataset, `{dataset}/{split}`.
        group: shards of the tasks that it is compared with.
        among: CSV of the samples to choose from, or None for all.
        most: how many are kept at most, or None for no limit.
        seed: of the draw.
        output: CSV of the training set.

    Raises:
        InputError: a folder of shards has no sample, or none that `among` lists.
    """
    ids = _ids(tokenized)
    if among:
        listed = {id for _, id in read(among)}
        ids = [id for id in ids if id in listed]
        if not ids:
            raise InputError(f"{tokenized} has none of the samples that {among} lists: make both from the same rows.")
    sizes = {tokenized: len(ids), **{folder: len(_ids(folder)) for folder in group}}
    smallest = min(sizes, key=lambda folder: sizes[folder])
    if not sizes[smallest]:
        raise InputError(f"{smallest} has no samples: check the rows that it was made from.")
    chosen = sorted(ids, key=lambda id: rank(seed, id))[: min(sizes[smallest], most or sizes[smallest])]
    write(output, [(tokenized.parent.name, id) for id in chosen])


def _ids(folder: Path) -> list[str]:
    """Ids of the samples that tokenization kept."""
    return [row["id"] for row in read_csv(folder / "samples.csv", ("id",))]
