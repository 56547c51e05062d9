"""The run table (`runs.csv`): which pattern folder belongs to which study, model, task and training seed.

One row per study and run. The order of rows is the order in which models and tasks appear in every table and figure.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns.errors import InputError
from headpatterns.experiment.runs import FINETUNED
from headpatterns.io import read_csv

COLUMNS = ("study", "group", "model", "model_label", "task", "task_label", "family", "role", "seed", "run", "patterns")
ROLES = ("complex", "basic")
BY_GROUP = ("composition", "methods")
"""Studies whose runs of one task may be in several task groups; tables of other studies have no column for it."""


@dataclass(frozen=True)
class RunRow:
    """One row: a fine-tuning run as seen by one study."""

    study: str
    group: str
    model: str
    model_label: str
    task: str
    task_label: str
    family: str
    role: str
    seed: int
    run: str
    patterns: Path


def read(path: Path, study: str, known: Collection[str]) -> list[RunRow]:
    """The rows of one study, in the table's order; `known` are the studies that a row may belong to.

    Raises:
        InputError: a missing column, an unknown study, a seed that is not a whole number, a role other than complex or
            basic in the composition study, a task with a `+` in its name, a repeated run, or no row of the study.
    """
    runs: list[RunRow] = []
    first_row: dict[tuple[str, str, str, int], int] = {}
    for number, row in enumerate(read_csv(path, COLUMNS), start=1):
        run = _run(row, f"{path}, row {number}", known)
        if run.study != study:
            continue
        # Runs that were trained elsewhere have only a name.
        group = run.group if study in BY_GROUP else run.run if run.group == FINETUNED else ""
        key = (group, run.model, run.task, run.seed)
        if key in first_row:
            raise InputError(
                f"{path}, row {number} repeats row {first_row[key]} (study {study}, model {run.model}, "
                f"task {run.task}, seed {run.seed}): keep one of them."
            )
        first_row[key] = number
        runs.append(run)
    if not runs:
        raise InputError(f"{path} has no row of the study {study!r}: add one, or leave out this analysis.")
    return runs


def _run(row: dict[str, str], where: str, known: Collection[str]) -> RunRow:
    if row["study"] not in known:
        raise InputError(f"{where}: unknown study {row['study']!r}: use one of {', '.join(known)}.")
    for column in ("model", "task", "patterns"):
        if not row[column]:
            raise InputError(f"{where}: the column {column!r} is empty: fill it in.")
    if "+" in row["task"]:
        raise InputError(f"{where}: the task {row['task']!r} has a '+', but tables join tasks by '+': rename the task.")
    if row["study"] == "composition" and row["role"] not in ROLES:
        raise InputError(f"{where}: the role is {row['role']!r}: set it to 'complex' or 'basic'.")
    if not row["seed"].isdecimal():
        raise InputError(f"{where}: the seed {row['seed']!r} is not a whole number of 0 or more: fix it.")
    texts = {column: row[column] for column in COLUMNS if column not in ("seed", "patterns")}
    return RunRow(**texts, seed=int(row["seed"]), patterns=Path(row["patterns"]))


def grouped(runs: Iterable[RunRow], *attributes: str) -> dict[tuple[Any, ...], list[RunRow]]:
    """Runs by the values of some attributes; groups and their runs keep the table's order."""
    groups: dict[tuple[Any, ...], list[RunRow]] = {}
    for run in runs:
        groups.setdefault(tuple(getattr(run, attribute) for attribute in attributes), []).append(run)
    return groups
