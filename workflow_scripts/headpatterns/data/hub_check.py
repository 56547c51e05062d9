"""Asking the Hugging Face hub for every model and dataset of a config, before anything is downloaded."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headpatterns.data import hub
from headpatterns.data.downloads import check_space
from headpatterns.errors import InputError
from headpatterns.io import write_json


def check(sources: Sequence[Mapping[str, str]], output: Path) -> None:
    """Say everything that is wrong at once; of what was fetched before, nothing is asked.

    Args:
        sources: {kind, hub, revision, output}, of a dataset also name and split.
        output: JSON of the sources and their bytes.

    Raises:
        InputError: the hub refuses one of them, or the disk is too small for all.
    """
    found: list[dict[str, Any]] = []
    missing: dict[tuple[str | None, ...], int] = {}
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        hub.caches(Path(name))
        for source in sources:
            place = Path(source["output"])
            try:
                size = _size_there(place) if place.exists() else _size_asked(source, Path(name))
            except InputError as error:
                problems.append(str(error))
                continue
            found.append({**{key: value for key, value in source.items() if key != "output"}, "bytes": size})
            if not place.exists():
                # Splits of one configuration are files of one download.
                missing[tuple(source.get(key) for key in ("kind", "hub", "revision", "name"))] = size
    try:
        check_space("what is fetched from the hub", sum(missing.values()), output.parent)
    except InputError as error:
        problems.append(str(error))
    if problems:
        raise InputError("\n".join(dict.fromkeys(problems)))
    write_json(output, found)


def _size_asked(source: Mapping[str, str], cache: Path) -> int:
    """Bytes that a model or a configuration of a dataset has on the hub."""
    repository = hub.look(source["kind"], source["hub"], source["revision"])
    if source["kind"] == "model":
        return sum(hub.model_files(repository).values())
    made = hub.builder(repository, source.get("name"), source["split"], cache)
    return sum(hub.dataset_files(repository, made).values())


def _size_there(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    return sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else [path]))
