"""The folder of a run: what it consists of, what an interrupted one keeps, and how a complete one is put in place."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headpatterns.io import IDENTITY, remove, unfinished, write_json
from headpatterns.processes import group as processes
from headpatterns.provenance import environment
from headpatterns.training.recipe import Recipe

CURVE = ("step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "seconds")
"""Columns of training.csv: tokens are those read so far, padding not counted; seconds since the run's start.

Several devices need whole micro-batches: an empty sample that completes the last ones of an epoch counts one token.
"""

PARTS = ("final", "intermediate", "training.csv", "run.json")
"""What a run consists of, in the order in which it is put in place."""

COMPLETE = "complete"
"""The file in the folder of a state that says that every process has written its part."""


def tidy(workplace: Path) -> None:
    """Remove what a kill left half-written: checkpoints, and states that not every process has completed.

    Of a run that was killed while it was put in place there are only some parts: it is trained again.
    """
    if (workplace / "run.json").is_file() and not all((workplace / part).exists() for part in PARTS):
        for part in (*PARTS, "state"):
            remove(workplace / part)
    for leftover in (workplace / "intermediate").glob(".*"):
        remove(leftover)
    for state in (workplace / "state").glob("checkpoint-*"):
        if not (state / COMPLETE).is_file():
            remove(state)


def last_state(folder: Path) -> str | None:
    """The newest state of an interrupted run, from which it is resumed."""
    states = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    return str(states[-1]) if states else None


def finish(
    workplace: Path,
    identity: str,
    samples: int,
    last: int,
    history: Sequence[dict[str, Any]],
    recipe: Recipe,
    device: str,
) -> None:
    """Write what belongs to a run beside its weights, run.json last.

    `last` is the step that it ended with, `history` the Trainer's log, which the entries of the curve are among.
    """
    (workplace / "intermediate").mkdir(exist_ok=True)
    _write_curve(workplace / "training.csv", [entry for entry in history if "loss" in entry])
    kept = sorted(int(path.name.removeprefix("step-")) for path in (workplace / "intermediate").glob("step-*"))
    write_json(
        workplace / "run.json",
        {
            "identity": identity,
            "samples": samples,
            "steps": [*kept, last],
            "recipe": recipe.stated(),
            "device": device,
            **environment(),
        },
    )


def _write_curve(path: Path, curve: Sequence[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(CURVE)
        for entry in curve:
            named = {**entry, "tokens": int(entry["num_input_tokens_seen"])}
            writer.writerow([named[column] for column in CURVE])


def publish(output: Path) -> None:
    """Move a trained run from `{output}.unfinished/` into place, run.json last: where it is, the run is complete."""
    if processes.is_first():
        workplace = unfinished(output)
        output.mkdir(parents=True, exist_ok=True)
        remove(workplace / "state")  # first: without all of its parts the run must not go on from there
        for part in PARTS:
            remove(output / part)
            (workplace / part).rename(output / part)
        remove(workplace / IDENTITY)  # first: what is left of a folder half removed is never resumed from
        remove(workplace)
    processes.barrier()
