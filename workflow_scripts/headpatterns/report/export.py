"""The results of an experiment as a folder to publish (`headpatterns.experiment.published` lists its contents)."""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

from headpatterns import __version__, provenance
from headpatterns.errors import InputError
from headpatterns.experiment.published import (
    EVERY_REDUCTION,
    FORMAT,
    KEPT,
    MANIFEST,
    MEANS,
    MEASURED,
    ONE_REDUCTION,
    check_target,
)
from headpatterns.io import atomic_path, read_json, sha256, write_json

LEFT_OUT = {
    EVERY_REDUCTION: re.compile(r"(?!)"),
    ONE_REDUCTION: re.compile(r"step-\d+\.\w+\.samples\.npy"),
    MEANS: re.compile(r"(?!step-\d+\.npy$).*\.npy"),
}
"""Names of arrays that are left out, for each choice of kept patterns."""

PATHS_IN_JSON = ("model", "data")
"""Keys in JSON files next to arrays that may contain a path of the machine: of your own model or rows."""


def export(
    results: Path, target: Path, paths: Iterable[Path], most_mb: float, richest: str = EVERY_REDUCTION
) -> tuple[str, float]:
    """Copy results into a folder, with the checksum of each file; earlier contents are replaced.

    Arrays are stored as float32, because float16 would change the numbers of the tables. As many patterns are kept as
    fit into a given size; arrays with the same bytes count once, because Git stores them once.

    Args:
        results: the folder of the experiment.
        target: the folder to make.
        paths: files and folders below `results` that are published.
        most_mb: largest size of all arrays, in MB, with which more than means of patterns are kept.
        richest: one of `KEPT`, the most that `results` has.

    Returns:
        The kept patterns, one of `KEPT`, and the MB of all files.

    Raises:
        InputError: `target` has other contents, or a path is missing.
    """
    check_target(str(target))
    files = dict(files_of(results, paths))
    kept = choice(files, most_mb, KEPT[KEPT.index(richest) :])
    with atomic_path(target) as temporary:
        for name, file in files.items():
            if not left_out(name, kept):
                put(file, temporary / name, name, kept)
        written = sorted(str(path.relative_to(temporary)) for path in temporary.rglob("*") if path.is_file())
        manifest = {
            "format": FORMAT,
            "headpatterns": __version__,
            "commit": provenance.git_commit(),
            "date": datetime.now(UTC).date().isoformat(),
            "patterns": kept,
            "files": {name: sha256(temporary / name) for name in written},
        }
        write_json(temporary / MANIFEST, manifest)
    return kept, sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 1e6


def files_of(results: Path, paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """The files of some paths by their names below the results; folders are listed file by file.

    Raises:
        InputError: a path is missing.
    """
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} is missing, so it cannot be published: run the workflow to its end first.")
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and not file.name.startswith("."):  # markers of Snakemake in folders
                yield str(file.relative_to(results)), file


def left_out(name: str, kept: str) -> bool:
    """Whether a file is left out; only arrays below `MEASURED` may be."""
    path = PurePath(name)
    return path.parts[0] in MEASURED and LEFT_OUT[kept].fullmatch(path.name) is not None


def choice(files: Mapping[str, Path], most_mb: float, among: Sequence[str]) -> str:
    """The first of some values of `KEPT` whose arrays are small enough, or the last one."""
    arrays = {name: (sha256(file), file.stat().st_size) for name, file in files.items() if file.suffix == ".npy"}
    for kept in among:
        distinct = {array for name, array in arrays.items() if not left_out(name, kept)}
        if sum(size for _, size in distinct) <= most_mb * 1e6:
            return kept
    return among[-1]


def put(file: Path, target: Path, name: str, kept: str) -> None:
    """Copy a file; JSON files next to arrays lose folders of the machine, and reductions that are left out."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".json" and PurePath(name).parts[0] in MEASURED:
        content = without_root(read_json(file))
        write_json(target, of_one_reduction(content) if kept == ONE_REDUCTION else content)
    else:
        shutil.copyfile(file, target)


def of_one_reduction(content: dict[str, Any]) -> dict[str, Any]:
    """The contents of a JSON file about patterns, for a folder without their further reductions."""
    if "also" not in content:
        return content
    signed = [reduction for reduction in content["signed"] if reduction == content["reduction"]]
    return {**content, "also": [], "signed": signed}


def without_root(content: dict[str, Any]) -> dict[str, Any]:
    """The contents of a JSON file about arrays, without folders of the machine."""
    paths = {key: Path(content[key]) for key in PATHS_IN_JSON if key in content}
    return {**content, **{key: path.name for key, path in paths.items() if path.is_absolute()}}
