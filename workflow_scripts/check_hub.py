"""Ask the Hugging Face hub for every model and dataset of a config, before anything is downloaded."""

import argparse
import json
import tempfile
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.data import hub
from headpatterns.errors import InputError
from headpatterns.io import write_json


def main(arguments: argparse.Namespace) -> None:
    """Say everything that is wrong at once; of what was fetched before, nothing is asked."""
    found, missing, problems = [], {}, []
    with tempfile.TemporaryDirectory() as name:
        hub.caches(Path(name))
        for source in json.loads(arguments.sources):
            output = Path(source.pop("output"))
            try:
                size = size_there(output) if output.exists() else size_asked(source, Path(name))
            except InputError as error:
                problems.append(str(error))
                continue
            found.append({**source, "bytes": size})
            if not output.exists():
                # Splits of one configuration are files of one download.
                missing[tuple(source.get(key) for key in ("kind", "hub", "revision", "name"))] = size
    try:
        hub.check_space("what is fetched from the hub", sum(missing.values()), arguments.output.parent)
    except InputError as error:
        problems.append(str(error))
    if problems:
        raise InputError("\n".join(dict.fromkeys(problems)))
    write_json(arguments.output, found)


def size_asked(source: dict[str, str], cache: Path) -> int:
    """Bytes that a model or a configuration of a dataset has on the hub."""
    repository = hub.look(source["kind"], source["hub"], source["revision"])
    if source["kind"] == "model":
        return sum(hub.model_files(repository).values())
    made = hub.builder(repository, source.get("name"), source["split"], cache)
    return sum(hub.dataset_files(repository, made).values())


def size_there(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    return sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else [path]))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument(
        "--sources", required=True, help="JSON list of {kind, hub, revision, output}, of a dataset also name and split"
    )
    made.add_argument("--output", type=Path, required=True, help="JSON of the sources and their bytes")
    return made


if __name__ == "__main__":
    command_line.run(main, parser(), online=True)
