"""The run table (`runs.csv`): which pattern folder belongs to which study, model, task and training seed.

One row per study and run. The order of rows is the order in which models and tasks appear in every table and figure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headpatterns import tidy
from headpatterns.attribution import files as patterns
from headpatterns.errors import InputError

COLUMNS = ("study", "group", "model", "model_label", "task", "task_label", "family", "role", "seed", "run", "patterns")
STUDIES = ("adaptation", "composition", "dynamics")
ROLES = ("complex", "basic")


@dataclass(frozen=True)
class Run:
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


def read(path: Path, study: str) -> list[Run]:
    """The rows of one study (adaptation, composition or dynamics), in the table's order.

    Raises:
        InputError: a missing column, an unknown study, a seed that is no whole number, a role other than complex or
            basic in the composition study, a task with a `+` in its name, a run given twice, or no row of the study.
    """
    runs: list[Run] = []
    first_row: dict[tuple, int] = {}
    for number, row in enumerate(tidy.read(path, COLUMNS), start=1):
        run = _run(row, f"{path}, row {number}")
        if run.study != study:
            continue
        # The tables of the other studies have no column for the group.
        group = run.group if study == "composition" else ""
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


def _run(row: dict[str, str], where: str) -> Run:
    if row["study"] not in STUDIES:
        raise InputError(f"{where}: unknown study {row['study']!r}: use one of {', '.join(STUDIES)}.")
    for column in ("model", "task", "patterns"):
        if not row[column]:
            raise InputError(f"{where}: the column {column!r} is empty: fill it in.")
    if "+" in row["task"]:
        raise InputError(f"{where}: the task {row['task']!r} has a '+', which joins tasks in the tables: rename it.")
    if row["study"] == "composition" and row["role"] not in ROLES:
        raise InputError(f"{where}: role {row['role']!r}: a run of the composition study is 'complex' or 'basic'.")
    if not row["seed"].isdecimal():
        raise InputError(f"{where}: the seed {row['seed']!r} is no whole number of 0 or more: fix it.")
    values = {column: row[column] for column in COLUMNS}
    return Run(**values | {"seed": int(row["seed"]), "patterns": Path(row["patterns"])})


def grouped(runs: Iterable[Run], *attributes: str) -> dict[tuple, list[Run]]:
    """Runs by the values of some attributes; groups and their runs keep the table's order."""
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        groups.setdefault(tuple(getattr(run, attribute) for attribute in attributes), []).append(run)
    return groups


def check_patterns(runs: Iterable[Run]) -> None:
    """Check from the headers of the pattern files alone that the runs can be compared.

    Raises:
        InputError: a folder without step 0 or a later step, an unreadable file, steps of one run that differ in shape,
            runs of one model that differ in [layers, heads], or runs of one model and task that differ in the number
            of probe samples.
    """
    heads: dict[str, tuple[tuple[int, ...], Path]] = {}
    samples: dict[tuple[str, str], tuple[int, Path]] = {}
    for run in runs:
        shape = _common_shape(run.patterns)
        known, folder = heads.setdefault(run.model, (shape[1:], run.patterns))
        if shape[1:] != known:
            raise InputError(
                f"{run.patterns} has patterns of {_times(shape[1:])} layers x heads but {folder} of the same model "
                f"{run.model} has {_times(known)}: extract the patterns of one of them again."
            )
        count, folder = samples.setdefault((run.model, run.task), (shape[0], run.patterns))
        if shape[0] != count:
            raise InputError(
                f"{run.patterns} has {shape[0]} probe samples but {folder} of the same task {run.task} has {count}: "
                "use one probe set for all seeds."
            )


def _common_shape(folder: Path) -> tuple[int, ...]:
    """The shape [samples, layers, heads] that the patterns of all steps in a folder share."""
    shapes = {step: _shape(folder, step) for step in patterns.before_to_after(folder)}
    first = shapes[0]
    if len(first) != 3 or 0 in first:
        raise InputError(f"{folder}: step 0 has shape {_times(first)}, not samples x layers x heads: extract it again.")
    for step, shape in shapes.items():
        if shape != first:
            raise InputError(
                f"{folder}: the patterns of step {step} have shape {_times(shape)} but those of step 0 have "
                f"{_times(first)}: remove the folder and extract the patterns again with one probe set."
            )
    return first


def _shape(folder: Path, step: int) -> tuple[int, ...]:
    path = folder / f"step-{step}.samples.npy"
    try:
        return np.load(path, mmap_mode="r").shape
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is no complete NumPy array ({error}): remove it and extract it again.") from error


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def load(run: Run, step: int) -> np.ndarray:
    """Per-sample patterns of one step of a run: [samples, layers, heads].

    Raises:
        InputError: a value is NaN or infinite.
    """
    samples = patterns.load_samples(run.patterns, step)
    broken = np.argwhere(~np.isfinite(samples))
    if len(broken):
        sample, layer, head = broken[0]
        raise InputError(
            f"{run.patterns}/step-{step}.samples.npy is not finite at sample {sample}, layer {layer}, head {head}: "
            "extract the patterns again in a wider number format."
        )
    return samples


def before_and_after(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Per-sample patterns of the first and the last step of a run, each [samples, layers, heads]."""
    steps = patterns.steps(run.patterns)
    return load(run, steps[0]), load(run, steps[-1])
