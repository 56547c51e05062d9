"""Training with the Hugging Face Trainer: weights at chosen steps, a curve, and a state to resume from.

Pretraining of the embedded base models and supervised fine-tuning are the same function on different samples.
"""

import copy
import csv
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Sampler
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from headpatterns.errors import InputError, Interrupted
from headpatterns.io import IDENTITY, atomic_path, open_unfinished, remove, unfinished, write_json
from headpatterns.processes import group as processes
from headpatterns.processes import interruption
from headpatterns.provenance import environment, fingerprint
from headpatterns.training import deepspeed as zero
from headpatterns.training.batches import Collator, collator

CURVE = ("step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "seconds")
"""Columns of training.csv: tokens are those read so far, padding not counted; seconds since the run's start.

Several devices need whole micro-batches: an empty sample that completes the last ones of an epoch counts one token.
"""

PARTS = ("final", "intermediate", "training.csv", "run.json")
"""What a run consists of, in the order in which it is put in place."""

COMPLETE = "complete"
"""The file in the folder of a state that says that every process has written its part."""

OPTIMIZERS = {"adamw": "adamw_torch", "adamw_fused": "adamw_torch_fused"}
"""What transformers calls those of torch."""


@dataclass(frozen=True)
class Recipe:
    """How a run is trained.

    Attributes:
        learning_rate, lr_scheduler, warmup_ratio, weight_decay, max_grad_norm: AdamW and its schedule.
        epochs: passes over the training set; used when `max_steps` is None.
        max_steps: optimizer steps, or None.
        engine: `pytorch`, which holds everything in every process, or `deepspeed`: ZeRO-2.
        devices: processes that share the batches, one a GPU where there are GPUs.
        optimizer: `adamw` or `adamw_fused`, torch's own; or with deepspeed `adamw_offloaded`, whose states are in the
            host's memory.
        per_device_batch_size, gradient_accumulation_steps: samples of a micro-batch, micro-batches of a step.
        global_batch_size: samples of a step over all devices; checked against the product of the others.
        padding_free: a micro-batch is one row of samples without padding.
        precision: `fp32`, or `bf16` for mixed precision.
        gradient_checkpointing: recompute activations in the backward pass to save memory.
        checkpoint_dtype: of the stored weights, `float32` or `bfloat16`.
        checkpoint_steps: steps at which the weights are kept, besides the last.
        resume_every: steps between two states to resume from.
        seed: of the data order and of dropout.
    """

    learning_rate: float
    lr_scheduler: str
    warmup_ratio: float
    weight_decay: float
    max_grad_norm: float
    epochs: float
    max_steps: int | None
    engine: str
    devices: int
    optimizer: str
    per_device_batch_size: int
    gradient_accumulation_steps: int
    global_batch_size: int
    padding_free: bool
    precision: str
    gradient_checkpointing: bool
    checkpoint_dtype: str
    checkpoint_steps: tuple[int, ...]
    resume_every: int
    seed: int


@contextmanager
def session(recipe: Recipe, device: str) -> Iterator[None]:
    """What training and publishing happen in: the processes of the recipe talk, and SIGTERM waits for a good moment.

    Raises:
        InputError: there are not as many processes as the recipe's devices, or what the recipe needs is not installed.
    """
    with processes.joined(recipe.devices, device, recipe.engine), interruption.awaited():
        if recipe.optimizer == "adamw_offloaded":
            zero.compile_offloaded_adamw()
        yield


def stop_between_runs(device: str) -> None:
    """Where one run is trained and the next has not begun, stop if the processes were asked to.

    Raises:
        Interrupted: they were.
    """
    if interruption.received(processes.own_device(device)):
        raise Interrupted("interrupted by SIGTERM between two runs: run it again to go on.")


def loading_dtype(recipe: Recipe, stored: str) -> str:
    """The dtype in which to load a model for training that is stored in the dtype `stored`.

    It is float32, which plain PyTorch trains in mixed precision too. But DeepSpeed's engine for bf16 casts the weights
    to bfloat16 anyway: those that are stored in it lose nothing, and every process on a machine, all of which load at
    once, needs half the host's memory (16 rather than 32 GB each for 8 billion parameters).
    """
    return "bfloat16" if _is_cast(recipe) and stored == "bfloat16" else "float32"


def train(
    model: PreTrainedModel,
    tokenizer: Any,
    samples: Dataset | Sequence[dict[str, list[int]]],
    recipe: Recipe,
    identity: str,
    output: Path,
    device: str = "cpu",
) -> None:
    """Train `model` on `samples` (`input_ids`, `labels`); `publish(output)` then moves the run to the folder `output`.

    `output` receives `final/` and `intermediate/step-{step}/` (Hugging Face layout, safetensors), `training.csv` and
    `run.json` (recipe, steps, identity). Until it is published the run lives in `{output}.unfinished/`; a run that was
    interrupted there continues from its last saved state, provided that `identity` (model and data) and recipe are
    the same, and ends with the same weights as an undisturbed one. One that is complete there is left as it is. Of
    several processes the first one's `identity` counts.

    A run on no sample at all is the model as it is: it has the one step 0 and an empty curve.

    With several processes every one of them calls this, in the same `session`.

    Raises:
        InputError: the global batch size is not the product of its parts, there are fewer samples than one step takes,
            samples in one row would mix, another program trains this run, or the loss is not finite.
        Interrupted: SIGTERM came; the state after the step is saved.
    """
    _check_global_batch(recipe)
    if 0 < len(samples) < recipe.global_batch_size:
        raise InputError(
            f"the training set of {output} has {len(samples)} samples, less than one step of global_batch_size "
            f"{recipe.global_batch_size}: lower it or give more rows (a group is cut to its smallest task)."
        )
    collate = collator(tokenizer, model, recipe.padding_free) if len(samples) else None
    workplace = unfinished(output)
    with processes.nobody_else(workplace.with_name(f"{workplace.name}.lock"), str(output)):
        if processes.is_first():
            _tidy(open_unfinished(output, fingerprint(identity, json.dumps(asdict(recipe)))))
        if not processes.of_first((workplace / "run.json").is_file()):
            _train(model, tokenizer, samples, collate, recipe, identity, workplace, device)


def _train(
    model: PreTrainedModel,
    tokenizer: Any,
    samples: Dataset | Sequence[dict[str, list[int]]],
    collate: Collator | None,
    recipe: Recipe,
    identity: str,
    workplace: Path,
    device: str,
) -> None:
    """Train in the folder `workplace`, from its last state if it has one."""
    last, curve = 0, []
    if len(samples):
        keeper = _Keeper(
            recipe.checkpoint_steps,
            workplace / "intermediate",
            save=lambda folder: _save(model, tokenizer, folder, recipe.checkpoint_dtype, masters=_is_cast(recipe)),
        )
        stopper = _Stopper()
        state = processes.of_first(_last_state(workplace / "state"))
        casts = _is_cast(recipe) and model.dtype == torch.float32 and state is None  # a state has its master weights
        trainer = (Trainer if recipe.devices == 1 else _SharingTrainer)(
            model=model,
            args=_arguments(recipe, model.num_parameters(), workplace / "state", device),
            train_dataset=samples if recipe.devices == 1 else ConcatDataset([samples, [_nothing(tokenizer)]]),
            data_collator=collate,
            callbacks=[_Curve(), keeper, stopper, *([_Unrounded(model)] if casts else [])],
            optimizer_cls_and_kwargs=(
                zero.offloaded_adamw(recipe.learning_rate) if recipe.optimizer == "adamw_offloaded" else None
            ),
        )
        trainer.train(resume_from_checkpoint=state)
        last, curve = trainer.state.global_step, trainer.state.log_history
        if stopper.stopped:
            raise Interrupted(f"interrupted by SIGTERM at step {last}: its state is saved, run it again to go on.")
        keeper.save(workplace / "final")
        if recipe.engine == "deepspeed":
            trainer.model_wrapped.destroy()  # or its hooks keep the model and the optimizer in memory
    else:
        _save(model, tokenizer, workplace / "final", recipe.checkpoint_dtype)
    if processes.is_first():
        _finish(workplace, identity, len(samples), last, curve, recipe, device)


def _tidy(workplace: Path) -> None:
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


def _last_state(folder: Path) -> str | None:
    """The newest state of an interrupted run, from which it is resumed."""
    states = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    return str(states[-1]) if states else None


def _finish(
    workplace: Path, identity: str, samples: int, last: int, curve: list[dict[str, Any]], recipe: Recipe, device: str
) -> None:
    """Write what belongs to a run beside its weights, run.json last."""
    (workplace / "intermediate").mkdir(exist_ok=True)
    _write_curve(workplace / "training.csv", [entry for entry in curve if "loss" in entry])
    kept = sorted(int(path.name.removeprefix("step-")) for path in (workplace / "intermediate").glob("step-*"))
    write_json(
        workplace / "run.json",
        {
            "identity": identity,
            "samples": samples,
            "steps": [*kept, last],
            "recipe": asdict(recipe),
            "device": device,
            "threads": torch.get_num_threads(),
            **environment(),
        },
    )


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
    processes.wait_for_all()


def _check_global_batch(recipe: Recipe) -> None:
    product = recipe.devices * recipe.per_device_batch_size * recipe.gradient_accumulation_steps
    if product != recipe.global_batch_size:
        raise InputError(
            f"global_batch_size is {recipe.global_batch_size}, but {recipe.devices} devices × per_device_batch_size "
            f"{recipe.per_device_batch_size} × gradient_accumulation_steps {recipe.gradient_accumulation_steps} = "
            f"{product}: make the two agree."
        )


def _arguments(recipe: Recipe, parameters: int, state: Path, device: str) -> TrainingArguments:
    on_gpu = torch.device(device).type == "cuda"
    settings = TrainingArguments(
        output_dir=str(state),
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.lr_scheduler,
        warmup_steps=recipe.warmup_ratio,  # a float below 1 is a share of all steps
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        num_train_epochs=recipe.epochs,
        max_steps=recipe.max_steps or -1,
        deepspeed=zero.configuration(recipe, parameters, on_gpu) if recipe.engine == "deepspeed" else None,
        optim=OPTIMIZERS.get(recipe.optimizer, "adamw_torch"),
        per_device_train_batch_size=recipe.per_device_batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation_steps,
        ddp_find_unused_parameters=False,
        activation_checkpointing=recipe.gradient_checkpointing,
        bf16=recipe.precision == "bf16",
        seed=recipe.seed,
        use_cpu=not on_gpu,
        full_determinism=not on_gpu,
        save_strategy="steps",
        save_steps=recipe.resume_every,
        save_total_limit=2,  # the Trainer removes the one before while other processes may be writing the new one
        logging_steps=1,
        logging_nan_inf_filter=False,
        # A row without padding has no mask to count by, and every token counts.
        include_num_input_tokens_seen="all" if recipe.padding_free else "non_padding",
        report_to="none",
        disable_tqdm=True,
    )
    if settings.n_gpu > 1:
        settings._n_gpu = 1  # a process alone would otherwise split its batches over all GPUs that it sees
    return settings


def _is_cast(recipe: Recipe) -> bool:
    """Whether the engine casts the model to bfloat16 and trains it through float32 master weights of its own."""
    return recipe.engine == "deepspeed" and recipe.precision == "bf16"


def _save(model: PreTrainedModel, tokenizer: Any, folder: Path, dtype: str, masters: bool = False) -> None:
    """Write a model in Hugging Face layout, its weights in `dtype`: cast, or the engine's `masters` if it has any.

    Every process takes part, since each has a share of those; all go on once it is written.
    """
    stored = getattr(torch, dtype)
    own = masters and stored == torch.float32
    state = zero.master_weights(model) if own else model.state_dict(keep_vars=True)
    if processes.is_first():
        cast: dict[int, torch.Tensor] = {}  # tied weights stay one tensor by two names
        for name, value in list(state.items()):
            if id(value) not in cast:
                dtype_there = stored if value.is_floating_point() else value.dtype
                cast[id(value)] = value.detach().to("cpu", dtype_there)
            state[name] = cast[id(value)]
        with atomic_path(folder) as temporary:
            model.save_pretrained(temporary, state_dict=state)
            tokenizer.save_pretrained(temporary)
            if stored != model.dtype:
                config = copy.deepcopy(model.config)
                config.dtype = dtype
                config.save_pretrained(temporary)
    processes.wait_for_all()


class _Keeper(TrainerCallback):
    """Keeps the weights at chosen steps; the last step is saved as `final` instead, and needs no state to resume from.

    The Trainer would save one there, and resumed from it would train a step too many.
    """

    def __init__(self, steps: Iterable[int], folder: Path, save: Callable[[Path], None]) -> None:
        self.steps, self.folder, self.save = frozenset(steps), folder, save

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        late = sorted(step for step in self.steps if step > state.max_steps)
        if late and state.is_world_process_zero:
            print(f"checkpoint steps {late} lie beyond the last step, {state.max_steps}, and are not kept", flush=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_save = False
        elif state.global_step in self.steps:
            self.save(self.folder / f"step-{state.global_step}")


def _nothing(tokenizer: Any) -> dict[str, list[int]]:
    """A sample that teaches nothing."""
    return {"input_ids": [tokenizer.eos_token_id], "labels": [-100]}


class _SharingTrainer(Trainer):
    """A Trainer whose processes read the samples of an epoch in the order, and in the steps, of a process alone.

    The last sample of the training set is the one that fills up.
    """

    def get_train_dataloader(self) -> DataLoader:
        """The Trainer's own, with another order put where accelerate looks for one to tell the epoch."""
        loader = super().get_train_dataloader()
        together = self.args.world_size * self.args.per_device_train_batch_size
        loader.set_sampler(_FilledOrder(len(self.train_dataset) - 1, together, self.args.seed))
        return loader


class _FilledOrder(Sampler):
    """Places of samples, shuffled again in each epoch, and then of one beyond them until micro-batches come out even.

    Otherwise accelerate would let samples from the epoch's beginning be read twice.
    """

    def __init__(self, samples: int, together: int, seed: int) -> None:
        self.shuffled = SeedableRandomSampler(range(samples), data_seed=seed)
        self.fill = [samples] * (-samples % together)

    def __len__(self) -> int:
        return len(self.shuffled) + len(self.fill)

    def __iter__(self) -> Iterator[int]:
        yield from self.shuffled
        yield from self.fill

    def set_epoch(self, epoch: int) -> None:
        self.shuffled.set_epoch(epoch)


class _Unrounded(TrainerCallback):
    """Lets the master weights of an engine that casts the model begin with the weights before the cast.

    The engine would copy them from those that it has rounded. Models of the hub that are stored in float16, and runs
    that start from an earlier one, would change by that rounding, which is more than the first steps change.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.weights = {name: value.detach().to("cpu", copy=True) for name, value in model.named_parameters()}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        zero.start_masters(self.model, self.weights)
        self.weights.clear()


class _Stopper(TrainerCallback):
    """Stops at the end of the step in which SIGTERM came to any process, and marks states that all have completed.

    transformers has such a callback of its own (`enable_jit_checkpoint`), but there each process decides by its own
    clock when to save; several would decide differently and wait for each other for ever.
    """

    stopped = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if interruption.received(args.device) and state.global_step < state.max_steps:
            self.stopped = control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        processes.wait_for_all()
        if state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()
        processes.wait_for_all()  # a process that stops now ends the others, of which one may not have written it


class _Curve(TrainerCallback):
    """Adds seconds since the run's start to every log entry, prints it, and stops at a loss that is not finite."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        earlier = [entry["seconds"] for entry in state.log_history if "seconds" in entry]
        self.start = time.perf_counter() - (earlier[-1] if earlier else 0.0)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
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


def _write_curve(path: Path, curve: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(CURVE)
        for entry in curve:
            named = {**entry, "tokens": int(entry["num_input_tokens_seen"])}
            writer.writerow([named[column] for column in CURVE])
