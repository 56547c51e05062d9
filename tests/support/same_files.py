"""Whether two runs of an experiment have left the same: the same files, and in them the same but for times."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

NAMES_ALONE = ("logs/", "benchmarks/")
"""Folders of which the names count and not the contents: how long each job took, and what it said on the way."""

CHANGING = frozenset({"jobs.csv", "report.html", "analysis/timings.csv", "provenance.json"})
"""Files that say when and how the jobs ran: the last start, its days, and the time that each took."""

TIMES = frozenset({"seconds"})
"""Columns and keys of other tables and JSON files that do so."""


def differences(expected: Path, found: Path) -> list[str]:
    """What differs in two folders of results, in sentences; what an interruption left behind is a file too many."""
    names, others = names_below(expected), names_below(found)
    said = [f"{name} is missing" for name in sorted(names - others)]
    said += [f"{name} is left over" for name in sorted(others - names)]
    compared = [name for name in sorted(names & others) if not name.startswith(NAMES_ALONE) and name not in CHANGING]
    return said + [f"{name} differs" for name in compared if content(expected / name) != content(found / name)]


def names_below(folder: Path) -> set[str]:
    """Files and empty folders below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or not any(path.iterdir())}


def content(path: Path) -> Any:
    """What is compared of a file: its bytes, but of tables and JSON without times."""
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
