"""Event files of TensorBoard, written while a run trains, so that its curve can be watched.

They are next to the logs, and not a part of a run. Only the environment of the job decides whether they are written, so
neither its parameters nor its recipe change.
"""

import os
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from headpatterns.cluster.commands import EVENTS
from headpatterns.io import remove

SCALARS = ("loss", "learning_rate", "grad_norm")
"""Columns of training.csv that are written for each entry of the curve."""


def of_run(workplace: Path) -> list[TrainerCallback]:
    """The callback that writes the events of a run to {model}/{run} below the requested folder; empty without one.

    `workplace` is the folder in which the run is trained, {model}/{run}.unfinished.
    """
    folder = os.environ.get(EVENTS)
    return [Events(Path(folder) / workplace.parent.name / workplace.stem)] if folder else []


class Events(TrainerCallback):
    """Writes each entry of the curve, on the first of several processes."""

    def __init__(self, folder: Path) -> None:
        """Write to the folder of one run."""
        self.folder = folder
        self.writer: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start a file; if the run continues from a state, earlier entries for later steps are removed."""
        if not state.is_world_process_zero:
            return
        from torch.utils.tensorboard import SummaryWriter

        if not state.global_step:
            remove(self.folder)
        self.writer = SummaryWriter(str(self.folder), purge_step=state.global_step + 1 if state.global_step else None)

    def on_log(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Write the entry at once."""
        if self.writer is None or "loss" not in others["logs"]:
            return
        for name in SCALARS:
            if name in others["logs"]:
                self.writer.add_scalar(f"train/{name}", others["logs"][name], state.global_step)
        self.writer.flush()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close the file."""
        if self.writer is not None:
            self.writer.close()
