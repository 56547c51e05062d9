"""Callbacks between the steps of a run: they keep weights, mark states, write the curve, and handle signals."""

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, TrainerCallback

from headpatterns.errors import InputError
from headpatterns.processes import group as processes
from headpatterns.processes import interruption
from headpatterns.training import deepspeed as zero
from headpatterns.training.run_folder import COMPLETE


class Keeper(TrainerCallback):
    """Keeps the weights at chosen steps; the last step is saved as `final` instead, without a state to resume from.

    The Trainer would save a state there, and after resuming from it would train one step too many.
    """

    def __init__(self, steps: Iterable[int], folder: Path, save: Callable[[Path], None]) -> None:
        """Keep `steps` below `folder`; `save` writes the weights to a given folder."""
        self.steps, self.folder, self.save = frozenset(steps), folder, save

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Print the steps that the run will not reach."""
        late = sorted(step for step in self.steps if step > state.max_steps)
        if late and state.is_world_process_zero:
            print(f"checkpoint steps {late} are after the last step, {state.max_steps}, and are not saved", flush=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the weights, or prevent the state of the last step."""
        if state.global_step >= state.max_steps:
            control.should_save = False
        elif state.global_step in self.steps:
            self.save(self.folder / f"step-{state.global_step}")


class Unrounded(TrainerCallback):
    """Initialises the master weights of an engine that casts the model with the weights before the cast.

    The engine would copy the rounded weights. Hub models that are stored in float16, and runs that start from an
    earlier run, would change by this rounding. The change is larger than that of the first steps.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        """Copy the weights of `model` to the host's memory."""
        self.model = model
        self.weights = {
            name: value.detach().to("cpu", copy=True) for name, value in model.named_parameters() if value.requires_grad
        }

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Pass the copies to the engine, and free them."""
        zero.start_masters(self.model, self.weights)
        self.weights.clear()


class Stopper(TrainerCallback):
    """Stops at the end of the step in which any process received SIGTERM, and marks states that all have completed.

    transformers has such a callback (`enable_jit_checkpoint`), but there each process uses its own clock to decide when
    to save. Several processes would decide differently and wait for each other forever.
    """

    stopped = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Request a state and the end of training if a signal came."""
        if interruption.received(args.device) and state.global_step < state.max_steps:
            self.stopped = control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the state."""
        processes.barrier()
        if state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()
        processes.barrier()  # a process that stops now ends the others, and one of them may still be writing


class Curve(TrainerCallback):
    """Adds seconds since the run's start to every log entry, prints it, and stops at a loss that is not finite."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock, or continue it from an earlier part of the run."""
        earlier = [entry["seconds"] for entry in state.log_history if "seconds" in entry]
        self.start = time.perf_counter() - (earlier[-1] if earlier else 0.0)

    def on_log(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Add the seconds.

        Raises:
            InputError: the loss is not finite.
        """
        logs: dict[str, Any] = others["logs"]
        if "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"the loss is {logs['loss']} at step {state.global_step}: lower the learning rate or raise the "
                "precision."
            )
        state.log_history[-1]["seconds"] = round(time.perf_counter() - self.start, 3)
        if state.is_world_process_zero:
            print(f"step {state.global_step}/{state.max_steps} loss {logs['loss']:.4f}", flush=True)
