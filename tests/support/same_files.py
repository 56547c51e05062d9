"""Compares the results of two runs of an experiment: the same files with the same content, except for times."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

NAMES_ALONE = ("logs/", "benchmarks/")
"""Folders whose file names are compared, but not their contents: the messages of each job, and how long it took."""

CHANGING = frozenset({"jobs.csv", "report.html", "analysis/timings.csv", "provenance.json"})
"""Files that say when and how the jobs ran: the last start, its dates, and the time that each job took."""

TIMES = frozenset({"seconds"})
"""Columns of other tables, and keys of other JSON files, that hold times."""


def differences(expected: Path, found: Path) -> list[str]:
    """What differs between two folders of results, in sentences; this includes files that an interruption left."""
    names, others = names_below(expected), names_below(found)
    said = [f"{name} is missing" for name in sorted(names - others)]
    said += [f"{name} is left over" for name in sorted(others - names)]
    compared = [name for name in sorted(names & others) if not name.startswith(NAMES_ALONE) and name not in CHANGING]
    return said + [f"{name} differs" for name in compared if content(expected / name) != content(found / name)]


def names_below(folder: Path) -> set[str]:
    """Files and empty folders below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or not any(path.iterdir())}


def content(path: Path) -> Any:
    """The content of a file that is compared: its bytes, or a table or JSON without times."""
    if path.is_dir():
        return None
    read: Mapping[str, Callable[[Path], Any]] = {".csv": _table, ".json": _json}
    return read.get(path.suffix, Path.read_bytes)(path)


def _table(path: Path) -> bytes | list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    if not TIMES & set(header):
        return path.read_bytes()
    kept = [place for place, name in enumerate(header) if name not in TIMES]
    return [[row[place] for place in kept] for row in [header, *rows]]


def _json(path: Path) -> Any:
    told = json.loads(path.read_text(encoding="utf-8"))
    return {key: value for key, value in told.items() if key not in TIMES} if isinstance(told, dict) else told
