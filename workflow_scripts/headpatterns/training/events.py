"""Event files of TensorBoard, written while a run trains, so that its curve can be watched.

They lie beside the logs, and are no part of a run: whether they are written is known by the environment of the job
alone, so that neither its parameters nor its recipe change.
"""

import os
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from headpatterns.cluster.commands import EVENTS
from headpatterns.io import remove

SCALARS = ("loss", "learning_rate", "grad_norm")
"""What is written of each entry of the curve, by its column in training.csv."""


def of_run(workplace: Path) -> list[TrainerCallback]:
    """What writes the events of a run to {model}/{run} below the folder that is asked for; nothing where none is.

    `workplace` is where the run is trained, {model}/{run}.unfinished.
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
        """Begin a file; where the run goes on from a state, steps after it that were written before are withdrawn."""
        if not state.is_world_process_zero:
            return
        from torch.utils.tensorboard import SummaryWriter

        if not state.global_step:
            remove(self.folder)
        self.writer = SummaryWriter(str(self.folder), purge_step=state.global_step + 1 if state.global_step else None)

    def on_log(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Write the entry at once, for whoever watches."""
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
