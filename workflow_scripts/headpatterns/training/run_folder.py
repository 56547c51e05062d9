"""The folder of a run: its files, the state of an interrupted run, and the move of a complete run to its place."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headpatterns.io import IDENTITY, remove, unfinished, write_json
from headpatterns.processes import group as processes
from headpatterns.provenance import environment
from headpatterns.training.recipe import Recipe

CURVE = ("step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "seconds")
"""Columns of training.csv: tokens read so far, without padding; seconds since the run's start.

Several devices need complete micro-batches: an empty sample that completes the last ones of an epoch counts one token.
"""

PARTS = ("final", "intermediate", "training.csv", "run.json")
"""The parts of a run, in the order in which they are moved to its folder."""

COMPLETE = "complete"
"""The file in the folder of a state that marks that every process has written its part."""


def tidy(workplace: Path) -> None:
    """Remove incomplete files after a kill: checkpoints, and states that not every process has completed.

    If a run was killed while its parts were moved, only some of them are left, and it is trained again.
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
    """Write the files of a run other than its weights, run.json last.

    `last` is its last step, and `history` the Trainer's log, which contains the entries of the curve.
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
    """Move a trained run from `{output}.unfinished/` to `output`, run.json last, which marks a complete run."""
    if processes.is_first():
        workplace = unfinished(output)
        output.mkdir(parents=True, exist_ok=True)
        remove(workplace / "state")  # first, because a run without all of its parts must not continue from a state
        for part in PARTS:
            remove(output / part)
            (workplace / part).rename(output / part)
        remove(workplace / IDENTITY)  # first, so that a partly removed folder is never resumed
        remove(workplace)
    processes.barrier()
