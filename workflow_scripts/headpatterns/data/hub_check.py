"""Check that the hub and other sources have every model and dataset of a config, before anything is downloaded."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headpatterns.data import hub, pinned_source
from headpatterns.data.downloads import check_space
from headpatterns.data.pinned import Pinned
from headpatterns.errors import InputError
from headpatterns.io import read_json, write_json

PINNED = "pinned"


def check(sources: Sequence[Mapping[str, Any]], output: Path) -> None:
    """Report all problems at once; models and datasets that were fetched before are not checked again.

    Args:
        sources: {kind, hub, revision, output}, and for a dataset also name and split; for the kind `pinned` {kind,
            output} and all fields of `Pinned`.
        output: JSON of the sources and their bytes.

    Raises:
        InputError: a source is not available, or the disk is too small for all.
    """
    found: list[dict[str, Any]] = []
    missing: dict[tuple[Any, ...], int] = {}
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
                # Splits of one configuration are in one download.
                missing[tuple(source.get(key) for key in ("kind", "hub", "revision", "name", "dataset"))] = size
    try:
        check_space("what is to be downloaded", sum(missing.values()), output.parent)
    except InputError as error:
        problems.append(str(error))
    if problems:
        raise InputError("\n".join(dict.fromkeys(problems)))
    write_json(output, found)


def checked_source(checked: Path, dataset: str) -> Pinned:
    """The source of a pinned dataset that `check` found to be available.

    Raises:
        InputError: `check` did not look for this dataset.
    """
    for source in read_json(checked):
        if source["kind"] == PINNED and source["dataset"] == dataset:
            return _pinned(source)
    raise InputError(f"{checked} has no source of {dataset}: remove the file, and run again to make a new one.")


def _pinned(source: Mapping[str, Any]) -> Pinned:
    given = {name: source[name] for name in Pinned._fields}
    return Pinned(**{**given, "files": tuple(source["files"]), "others": tuple(source["others"])})


def _size_asked(source: Mapping[str, Any], cache: Path) -> int:
    """Bytes of a model, a configuration of a dataset or a pinned dataset at its source."""
    if source["kind"] == PINNED:
        with pinned_source.said(_pinned(source)):
            return sum(file.size for file in pinned_source.look(_pinned(source)).values())
    repository = hub.look(source["kind"], source["hub"], source["revision"])
    if source["kind"] == "model":
        return sum(hub.model_files(repository).values())
    made = hub.builder(repository, source.get("name"), source["split"], cache)
    return sum(hub.dataset_files(repository, made).values())


def _size_there(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())
