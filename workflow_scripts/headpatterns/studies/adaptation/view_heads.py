"""The view of single heads: the pattern of any run at any step, and charts about the head that is chosen in it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from headpatterns.attribution import files
from headpatterns.errors import InputError
from headpatterns.experiment.run_table import RunRow
from headpatterns.presentation.views import MEAN, Control, Interactive, of_seeds, rounded, select
from headpatterns.studies import patterns
from headpatterns.studies.adaptation import charts_of_heads
from headpatterns.studies.validity import ablations as ablated

QUANTITIES = {
    "level": "level",
    "over_loss": "level over loss",
    "change": "level minus that of step 0",
    "ratio": "log₂ of level over that of step 0",
    "signed": "signed sum",
}
"""Quantities of a pattern that can be shown. `signed` needs patterns of samples with their signs."""

Record = dict[str, Any]


def show(
    runs: Path, studies: Sequence[str], ablations: list[Path], ablated_runs: Sequence[Sequence[Any]]
) -> Interactive:
    """Patterns of every run and step, means over the probe samples, and effects of ablating single heads.

    Args:
        runs: runs.csv.
        studies: studies whose runs are shown; a run of several studies is shown once.
        ablations: folders of ablate_heads; empty if no head was ablated.
        ablated_runs: model, task and training seed of each.

    Raises:
        InputError: a file cannot be used.
    """
    listed = {(row.model, row.task, row.seed): row for study in studies for row in patterns.rows_of(runs, study)}
    rows = list(listed.values())
    found = [record(row) for row in rows]
    signed = all("signed" in one for one in found)
    effects = [
        one for folder, named in zip(ablations, ablated_runs, strict=True) for one in of_ablations(folder, named)
    ]
    shown = {name: title for name, title in QUANTITIES.items() if signed or name != "signed"}
    controls = form(rows, found, shown)
    about = {f"{one['model']}|{one['task']}": {key: one[key] for key in ("steps", "layers", "heads")} for one in found}
    limits = {name: largest(found, name) for name in shown}
    labels = {"model": dict(labels_of(rows, "model")), "task": dict(labels_of(rows, "task"))}
    tables = charts_of_heads.Tables(about, limits, labels, shown)
    return Interactive(
        title="Heads through training",
        controls=controls,
        charts=charts_of_heads.charts(controls, tables, bool(effects)),
        rows={"heads": [slim(one) for one in found], "ablations": effects},
        figures=("figure1", "figure5", "figure_validity"),
        files=("analysis/patterns.csv", "patterns/"),
    )


def record(row: RunRow) -> Record:
    """All steps of one run.

    Raises:
        InputError: its folder has no step 0 or no later one, or a file cannot be used.
    """
    steps = sorted(int(path.stem.removeprefix("step-")) for path in row.patterns.glob("step-*.json"))
    if len(steps) < 2 or steps[0] != 0:
        raise InputError(f"{row.patterns} lacks the patterns before fine-tuning (step 0) or after it: {files.AGAIN}.")
    about = [files.about(row.patterns, step) for step in steps]
    levels = [mean(row.patterns / f"step-{step}.npy") for step in steps]
    made = {
        **{name: str(getattr(row, name)) for name in ("model", "task", "seed")},
        "label": row.task_label,
        "steps": steps,
        "layers": about[0].layer_numbers or list(range(len(levels[0]))),
        "heads": levels[0].shape[1],
        "loss": [float(one.losses.mean()) for one in about],
        "level": [level.ravel() for level in levels],
    }
    kept = all("abs_of_sum" in (one.reduction, *one.also) and one.samples_file("abs_of_sum").is_file() for one in about)
    if kept:
        made["signed"] = [files.load_stored(one, "abs_of_sum").mean(axis=0).ravel() for one in about]
    return made


def mean(path: Path) -> np.ndarray:
    """The pattern of a step, [layers, heads].

    Raises:
        InputError: the file cannot be used.
    """
    try:
        array: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is not a complete NumPy array ({error}): {files.AGAIN}.") from error
    if array.ndim != 2 or not np.isfinite(array).all():
        raise InputError(f"{path} is not a pattern of layers x heads with finite numbers: {files.AGAIN}.")
    return array.astype(np.float64)


def of_ablations(folder: Path, named: Sequence[Any]) -> Iterator[Record]:
    """Mean change of the loss of a sample with one head ablated, for every head, with 95 % intervals (Student's t).

    A published folder with only means of patterns yields nothing, because it has no arrays of ablations.

    Raises:
        InputError: as `ablations.read_both`.
    """
    model, task, seed = map(str, named)
    if not any(folder.glob("*.changes.npy")):
        return
    for phase, found in ablated.read_both(folder).items():
        count = len(found.changes)
        means = numbers(found.changes.mean(axis=0).ravel())
        with np.errstate(invalid="ignore", divide="ignore"):  # a single sample has no interval
            error = found.changes.std(axis=0).ravel() / np.sqrt(count - 1)
        half = numbers(stats.t.ppf(0.975, count - 1) * error)
        yield {"model": model, "task": task, "seed": seed, "phase": phase, "mean": means, "half": half}


def quantity(one: Record, name: str) -> np.ndarray:
    """A quantity of a record, [steps, layers × heads]."""
    level, loss = np.array(one["level"]), np.array(one["loss"])[:, None]
    if name == "signed":
        return np.array(one["signed"])
    with np.errstate(divide="ignore", invalid="ignore"):
        made = {
            "level": level,
            "over_loss": level / loss,
            "change": level - level[0],
            "ratio": np.log2(level / level[0]),
        }
    found: np.ndarray = np.where(np.isfinite(made[name]), made[name], 0)
    return found


def largest(found: Sequence[Record], name: str) -> dict[str, Any]:
    """The largest magnitudes of a quantity: of every run and of the mean over seeds by step, and of all of them."""
    own = {f"{one['model']}|{one['task']}|{one['seed']}": np.abs(quantity(one, name)).max(axis=1) for one in found}
    for key in dict.fromkeys((one["model"], one["task"]) for one in found):
        of_seeds_ = [own["|".join((*key, one["seed"]))] for one in found if (one["model"], one["task"]) == key]
        shortest = min(map(len, of_seeds_))
        own["|".join((*key, MEAN))] = np.max([values[:shortest] for values in of_seeds_], axis=0)
    every = max(float(values.max()) for values in own.values())
    return {"shared": rounded(every), "own": {key: numbers(values) for key, values in own.items()}}


def slim(one: Record) -> Record:
    """A record for the page: without values that are stored elsewhere, and with rounded numbers."""
    lists: Record = {key: [numbers(step) for step in one[key]] for key in ("level", "signed") if key in one}
    kept = {key: one[key] for key in ("model", "task", "seed", "label", "steps")}
    return {**kept, "loss": numbers(one["loss"]), **lists}


def numbers(values: Any) -> list[float | None]:
    """Rounded numbers."""
    return [rounded(float(value)) for value in values]


def labels_of(rows: Sequence[RunRow], name: str) -> list[tuple[str, str]]:
    """Models or tasks with their labels, in the order of the run table."""
    return list({getattr(row, name): getattr(row, f"{name}_label") for row in rows}.items())


def form(rows: Sequence[RunRow], found: Sequence[Record], shown: Mapping[str, str]) -> list[Control]:
    """The form of the view; initially the head with the largest change in the first run is chosen."""
    most = max(len(one["steps"]) for one in found)
    alike = len({tuple(one["steps"]) for one in found}) == 1
    steps = found[0]["steps"] if alike else range(most)
    words = [(str(k), f"step {step}" if alike else f"checkpoint {step}") for k, step in enumerate(steps)]
    first = found[0]
    layer, head = divmod(int(np.abs(quantity(first, "change")[-1]).argmax()), first["heads"])
    seeds = sorted({str(row.seed) for row in rows}, key=int)
    return [
        select("heads-model", "Model", labels_of(rows, "model")),
        select("heads-task", "Task", labels_of(rows, "task")),
        of_seeds("heads-seed", seeds),
        select("heads-quantity", "Show", list(shown.items())),
        select("heads-scale", "Colours", [("own", "scale of its own"), ("shared", "one scale for all")]),
        Control("heads-step", "Training", "range", words, start=str(most - 1)),
        Control("heads-layer", "Layer", "number", most=max(max(one["layers"]) for one in found),
                start=str(first["layers"][layer])),
        Control("heads-head", "Head", "number", most=max(one["heads"] for one in found) - 1, start=str(head)),
    ]  # fmt: skip
