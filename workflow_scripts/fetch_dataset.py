"""Download one split of a dataset of the Hugging Face hub, at a pinned revision, as one parquet file."""

import argparse
import os
import tempfile
from pathlib import Path

import command_line
from headpatterns.errors import InputError, first_line
from headpatterns.files import atomic_path


def main(arguments: argparse.Namespace) -> None:
    """Download into a cache of its own, which is removed: nothing is written outside the output's folder."""
    with (
        atomic_path(arguments.output) as temporary,
        tempfile.TemporaryDirectory(dir=arguments.output.parent) as cache,
    ):
        # The hub's client, which keeps a cache of downloads beside the datasets', reads these when it is imported.
        os.environ |= {"HF_HUB_CACHE": cache, "HF_XET_CACHE": cache}
        from datasets import load_dataset

        try:
            rows = load_dataset(
                arguments.hub, arguments.name, split=arguments.split, revision=arguments.revision, cache_dir=cache
            )
        except Exception as error:  # the hub's client raises dozens of types for what is one thing to the user
            raise InputError(
                f"the dataset {arguments.hub} (revision {arguments.revision}, split {arguments.split}) cannot be "
                f"fetched: {first_line(error)}; check its id, your network and login, or give local files as path."
            ) from error
        rows.to_parquet(temporary)


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
    command_line.run(main, parser())
