"""What happens between the steps of a run: weights are kept, states marked, the curve written, signals obeyed."""

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
    """Keeps the weights at chosen steps; the last step is saved as `final` instead, and needs no state to resume from.

    The Trainer would save one there, and resumed from it would train a step too many.
    """

    def __init__(self, steps: Iterable[int], folder: Path, save: Callable[[Path], None]) -> None:
        """Keep `steps` below `folder`, where `save` writes the weights to a folder that it is given."""
        self.steps, self.folder, self.save = frozenset(steps), folder, save

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say which steps never come."""
        late = sorted(step for step in self.steps if step > state.max_steps)
        if late and state.is_world_process_zero:
            print(f"checkpoint steps {late} are after the last step, {state.max_steps}, and are not saved", flush=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the weights, or let the last step be without a state."""
        if state.global_step >= state.max_steps:
            control.should_save = False
        elif state.global_step in self.steps:
            self.save(self.folder / f"step-{state.global_step}")


class Unrounded(TrainerCallback):
    """Lets the master weights of an engine that casts the model begin with the weights before the cast.

    The engine would copy them from those that it has rounded. Models of the hub that are stored in float16, and runs
    that start from an earlier one, would change by that rounding, which is more than the first steps change.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        """Copy the weights of `model` to the host's memory."""
        self.model = model
        self.weights = {
            name: value.detach().to("cpu", copy=True) for name, value in model.named_parameters() if value.requires_grad
        }

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Hand the copies over, and let them go."""
        zero.start_masters(self.model, self.weights)
        self.weights.clear()


class Stopper(TrainerCallback):
    """Stops at the end of the step in which SIGTERM came to any process, and marks states that all have completed.

    transformers has such a callback of its own (`enable_jit_checkpoint`), but there each process decides by its own
    clock when to save; several would decide differently and wait for each other for ever.
    """

    stopped = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for a state and an end where a signal came."""
        if interruption.received(args.device) and state.global_step < state.max_steps:
            self.stopped = control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the state."""
        processes.barrier()
        if state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()
        processes.barrier()  # a process that stops now ends the others, of which one may not have written it


class Curve(TrainerCallback):
    """Adds seconds since the run's start to every log entry, prints it, and stops at a loss that is not finite."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock, where an earlier part of the run has left it."""
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
