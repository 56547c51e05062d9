"""Training with the Hugging Face Trainer: weights at chosen steps, a curve, and a state to resume from.

Pretraining of the embedded base models and supervised fine-tuning are the same function on different samples.
"""

import copy
import csv
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import DataCollatorForSeq2Seq, PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from headpatterns.errors import InputError
from headpatterns.files import IDENTITY, atomic_path, open_unfinished, read_json, remove, unfinished, write_json
from headpatterns.provenance import environment, fingerprint

CURVE = ("step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "seconds")
"""Columns of training.csv: tokens are those read so far, padding not counted; seconds since the run's start."""


@dataclass(frozen=True)
class Recipe:
    """How a run is trained.

    Attributes:
        learning_rate, lr_scheduler, warmup_ratio, weight_decay, max_grad_norm: AdamW and its schedule.
        epochs: passes over the training set; used when `max_steps` is None.
        max_steps: optimizer steps, or None.
        per_device_batch_size, gradient_accumulation_steps: samples of a micro-batch, micro-batches of a step.
        global_batch_size: samples of a step over all devices; checked against the product of the others.
        precision: `fp32`, or `bf16` for mixed precision.
        gradient_checkpointing: recompute activations in the backward pass to save memory.
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
    per_device_batch_size: int
    gradient_accumulation_steps: int
    global_batch_size: int
    precision: str
    gradient_checkpointing: bool
    checkpoint_steps: tuple[int, ...]
    resume_every: int
    seed: int


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
    the same, and ends with the same weights as an undisturbed one. One that is complete there is left as it is.

    A run on no sample at all is the model as it is: it has the one step 0 and an empty curve.

    Raises:
        InputError: the global batch size is not the product of its parts, there are fewer samples than one step takes,
            or the loss is not finite.
    """
    settings = _arguments(recipe, unfinished(output) / "state", device)
    _check_global_batch(recipe, devices=max(1, settings.n_gpu) * settings.world_size)
    if 0 < len(samples) < recipe.global_batch_size:
        raise InputError(
            f"the training set of {output} has {len(samples)} samples, less than one step of global_batch_size "
            f"{recipe.global_batch_size}: lower it or give more rows (a group is cut to its smallest task)."
        )
    workplace = open_unfinished(output, fingerprint(identity, json.dumps(asdict(recipe))))
    if (workplace / "run.json").is_file():
        return
    for leftover in (workplace / "intermediate").glob(".*"):  # a kill amid the saving of a checkpoint
        remove(leftover)

    def save(folder: Path) -> None:
        with atomic_path(folder) as temporary:
            model.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)

    last, curve = 0, []
    if len(samples):
        trainer = Trainer(
            model=model,
            args=settings,
            train_dataset=samples,
            data_collator=_collator(tokenizer),
            callbacks=[_Curve(), _Keeper(recipe.checkpoint_steps, workplace / "intermediate", save)],
        )
        trainer.train(resume_from_checkpoint=_last_state(Path(settings.output_dir)))
        last, curve = trainer.state.global_step, trainer.state.log_history

    (workplace / "intermediate").mkdir(exist_ok=True)
    save(workplace / "final")
    _write_curve(workplace / "training.csv", [entry for entry in curve if "loss" in entry])
    kept = sorted(int(path.name.removeprefix("step-")) for path in (workplace / "intermediate").glob("step-*"))
    write_json(
        workplace / "run.json",
        {
            "identity": identity,
            "samples": len(samples),
            "steps": [*kept, last],
            "recipe": asdict(recipe),
            "device": device,
            "threads": torch.get_num_threads(),
            **environment(),
        },
    )


def publish(output: Path) -> None:
    """Move a trained run from `{output}.unfinished/` into place, run.json last: where it is, the run is complete."""
    workplace = unfinished(output)
    output.mkdir(parents=True, exist_ok=True)
    for name in ("final", "intermediate", "training.csv", "run.json"):
        remove(output / name)
        (workplace / name).rename(output / name)
    remove(workplace / IDENTITY)  # first: what is left of a folder half removed is never resumed from
    remove(workplace)


def _check_global_batch(recipe: Recipe, devices: int) -> None:
    product = devices * recipe.per_device_batch_size * recipe.gradient_accumulation_steps
    if product != recipe.global_batch_size:
        raise InputError(
            f"global_batch_size is {recipe.global_batch_size}, but {devices} devices × per_device_batch_size "
            f"{recipe.per_device_batch_size} × gradient_accumulation_steps {recipe.gradient_accumulation_steps} = "
            f"{product}: make the two agree, or show it other GPUs (CUDA_VISIBLE_DEVICES)."
        )


def _arguments(recipe: Recipe, state: Path, device: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(state),
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.lr_scheduler,
        warmup_steps=recipe.warmup_ratio,  # a float below 1 is a share of all steps
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        num_train_epochs=recipe.epochs,
        max_steps=recipe.max_steps or -1,
        per_device_train_batch_size=recipe.per_device_batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation_steps,
        activation_checkpointing=recipe.gradient_checkpointing,
        bf16=recipe.precision == "bf16",
        seed=recipe.seed,
        use_cpu=device == "cpu",
        full_determinism=device == "cpu",
        save_strategy="steps",
        save_steps=recipe.resume_every,
        save_total_limit=2,  # a state that a kill left half-written has a predecessor
        logging_steps=1,
        logging_nan_inf_filter=False,
        include_num_input_tokens_seen="non_padding",
        report_to="none",
        disable_tqdm=True,
    )


def _last_state(folder: Path) -> str | None:
    """The newest complete state of an interrupted run; the Trainer writes trainer_state.json last."""
    for path in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.split("-")[1])):
        try:
            read_json(path / "trainer_state.json")
        except (OSError, ValueError):
            continue
        return str(path)
    return None


def _collator(tokenizer: Any) -> DataCollatorForSeq2Seq:
    """Right padding; a tokenizer without a padding token lends its EOS, since padding is masked everywhere."""
    padding = copy.deepcopy(tokenizer)
    padding.padding_side = "right"
    if padding.pad_token is None:
        padding.pad_token = padding.eos_token
    return DataCollatorForSeq2Seq(padding, padding=True)


class _Keeper(TrainerCallback):
    """Keeps the weights at chosen steps; the last step is saved as `final` instead, and needs no state to resume from.

    The Trainer would save one there, and resumed from it would train a step too many.
    """

    def __init__(self, steps: Iterable[int], folder: Path, save: Callable[[Path], None]) -> None:
        self.steps, self.folder, self.save = frozenset(steps), folder, save

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        late = sorted(step for step in self.steps if step > state.max_steps)
        if late:
            print(f"checkpoint steps {late} lie beyond the last step, {state.max_steps}, and are not kept", flush=True)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_save = False
        elif state.global_step in self.steps:
            self.save(self.folder / f"step-{state.global_step}")


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
        print(f"step {state.global_step}/{state.max_steps} loss {logs['loss']:.4f}", flush=True)


def _write_curve(path: Path, curve: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(CURVE)
        for entry in curve:
            named = {**entry, "tokens": int(entry["num_input_tokens_seen"])}
            writer.writerow([named[column] for column in CURVE])
