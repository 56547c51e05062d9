"""Download one split of a dataset of the Hugging Face hub, at a pinned revision, as one parquet file."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.data import hub
from headpatterns.errors import InputError
from headpatterns.io import atomic_path, remove, unfinished


def main(arguments: argparse.Namespace) -> None:
    """Download into a cache of its own, which is removed: nothing is written outside the output's folder."""
    work = unfinished(arguments.output)
    begun = work.exists()
    hub.caches(work)
    dataset = hub.look("dataset", arguments.hub, arguments.revision)
    try:
        made = hub.builder(dataset, arguments.name, arguments.split, work / "prepared")
    except InputError:
        if not begun:
            remove(work)
        raise
    files = hub.dataset_files(dataset, made)
    with hub.download(dataset, files, arguments.output, copies=3):  # downloaded, prepared, written
        made.download_and_prepare()
        with atomic_path(arguments.output) as temporary:
            made.as_dataset(split=arguments.split).to_parquet(temporary)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--hub", required=True, help="id of the dataset")
    made.add_argument("--name", help="its configuration")
    made.add_argument("--split", required=True, help="its split")
    made.add_argument("--revision", required=True, help="commit of the dataset's repository")
    made.add_argument("--output", type=Path, required=True, help="parquet file")
    return made


if __name__ == "__main__":
    command_line.run(main, parser(), online=True)
