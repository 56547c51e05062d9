"""Training with the Hugging Face Trainer: weights at chosen steps, a curve, and a state to resume from.

Pretraining of the embedded base models and supervised fine-tuning use the same function on different samples.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, TrainerCallback, TrainingArguments

from headpatterns import storage
from headpatterns.errors import InputError, Interrupted
from headpatterns.io import open_unfinished, unfinished
from headpatterns.models import independence
from headpatterns.processes import group as processes
from headpatterns.processes import interruption, memory
from headpatterns.provenance import fingerprint
from headpatterns.training import adapters, events, run_folder, some_heads
from headpatterns.training import deepspeed as zero
from headpatterns.training.adapters import Base
from headpatterns.training.batches import Collator, Sample, collator
from headpatterns.training.callbacks import Curve, Keeper, Stopper, Unrounded
from headpatterns.training.losses import PredictingTrainer
from headpatterns.training.recipe import Recipe, check_global_batch
from headpatterns.training.saving import save
from headpatterns.training.sharing import SharingTrainer, filled_up
from headpatterns.training.some_heads import Heads

OPTIMIZERS = {"adamw": "adamw_torch", "adamw_fused": "adamw_torch_fused"}
"""Names in transformers of torch's optimizers."""


@contextmanager
def session(recipe: Recipe, device: str) -> Iterator[None]:
    """Within the block, the processes of the recipe can communicate, and signals are delayed until work can stop.

    Raises:
        InputError: the number of processes is not that of the recipe's devices, or a needed package is not installed.
    """
    # Deterministic kernels need no filled memory; torch would fill all allocations, to make bugs of kernels visible.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if torch.device(device).type == "cpu":
        memory.keep_freed()
    with processes.joined(recipe.devices, device, recipe.engine, "recipe.devices"), interruption.awaited():
        if recipe.optimizer == "adamw_offloaded":
            zero.compile_offloaded_adamw()
        yield


def stop_between_runs(device: str) -> None:
    """Stop between two runs if the processes received a signal.

    Raises:
        Interrupted: a signal came.
    """
    if interruption.received(processes.own_device(device)):
        raise Interrupted(
            f"interrupted by {interruption.name()} between two runs: run the same command again to continue."
        )


def loading_dtype(recipe: Recipe, stored: str) -> str:
    """The dtype in which a model with the stored dtype `stored` is loaded for training.

    It is float32, which plain PyTorch also trains in mixed precision. But DeepSpeed's engine for bf16 casts the weights
    to bfloat16 anyway. Weights that are stored in bfloat16 lose nothing by loading them as they are. All processes of a
    machine load at the same time, and each then needs half the host's memory (16 rather than 32 GB for 8 billion
    parameters). Weights below adapters are not trained, so in mixed precision more digits than stored have no benefit.
    """
    frozen = recipe.lora is not None and recipe.precision == "bf16"
    return "bfloat16" if (frozen or _is_cast(recipe)) and stored == "bfloat16" else "float32"


def train(
    model: PreTrainedModel,
    tokenizer: Any,
    samples: Sequence[Sample],
    recipe: Recipe,
    identity: str,
    output: Path,
    device: str = "cpu",
    base: Base | None = None,
    heads: Heads | None = None,
) -> None:
    """Train `model` on `samples` (`input_ids`, `labels`); `run_folder.publish(output)` then moves the run to `output`.

    `output` gets `final/` and `intermediate/step-{step}/` (Hugging Face layout, safetensors), `training.csv` and
    `run.json` (recipe, steps, identity). Until it is published, the run is in `{output}.unfinished/`. An interrupted
    run there continues from its last saved state if `identity` (model and data) and recipe are the same. It ends with
    the same weights as an uninterrupted run. A complete run there is left as it is. With several processes, the
    `identity` of the first one counts.

    A run without samples is the unchanged model: it has the single step 0 and an empty curve.

    With `lora` in the recipe, adapters on `model`, which comes from `base`, are trained and stored. With `heads`, only
    their weights are trained (`some_heads`), and all other weights are those of `model` in every checkpoint.

    `samples` may be a list or a data set. With several processes, each of them calls this, in the same `session`.

    Raises:
        InputError: the recipe cannot train only heads, or it is not known which weights belong to a head; the global
            batch size is not the product of its parts, there are fewer samples than in one step, samples in one row
            would mix, results of a sample depend on the others in its batch, another program trains this run, the loss
            is not finite, or the disk is full.
        Interrupted: SIGTERM came; the state after the step is saved.
    """
    check_global_batch(recipe)
    own = [] if heads is None else [some_heads.Restriction(model, heads, recipe)]
    if 0 < len(samples) < recipe.global_batch_size:
        raise InputError(
            f"the training set of {output} has {len(samples)} samples, less than one step of global_batch_size "
            f"{recipe.global_batch_size}: lower it, or give more rows (the training sets of a task group are cut "
            "to the smallest)."
        )
    if len(samples) and recipe.per_device_batch_size > 1:
        independence.check_micro_batches(model, samples)
    collate = collator(tokenizer, model, recipe.padding_free) if len(samples) else None
    workplace = unfinished(output)
    with processes.exclusive_lock(workplace.with_name(f"{workplace.name}.lock"), str(output)):
        if processes.is_first():
            run_folder.tidy(open_unfinished(output, fingerprint(identity, json.dumps(recipe.stated()))))
        if not processes.broadcast((workplace / "run.json").is_file()):
            with storage.written(workplace):
                _train(model, tokenizer, samples, collate, recipe, identity, workplace, device, base, own)


def _train(
    model: PreTrainedModel,
    tokenizer: Any,
    samples: Sequence[Sample],
    collate: Collator | None,
    recipe: Recipe,
    identity: str,
    workplace: Path,
    device: str,
    base: Base | None,
    own: Sequence[TrainerCallback],
) -> None:
    """Train in the folder `workplace`, from its last state if it has one."""
    last: int
    history: list[dict[str, Any]]
    trained: Any = model if recipe.lora is None else adapters.put_in(model, recipe)
    if collate is None:
        _keeping(trained, tokenizer, recipe, base, masters=False)(workplace / "final")
        last, history = 0, []
    else:
        keep = _keeping(trained, tokenizer, recipe, base, masters=_is_cast(recipe))
        last, history = _fit(trained, tokenizer, samples, collate, recipe, workplace, device, keep, own)
    if processes.is_first():
        run_folder.finish(workplace, identity, len(samples), last, history, recipe, device)


def _keeping(model: Any, tokenizer: Any, recipe: Recipe, base: Base | None, masters: bool) -> Callable[[Path], None]:
    """The function that writes the checkpoint of a run to a folder: a whole model, or only the adapters."""
    dtype = recipe.checkpoint_dtype
    if recipe.lora is None:
        return lambda folder: save(model, tokenizer, folder, dtype, masters)
    assert base is not None
    return lambda folder: adapters.save(model, tokenizer, folder, base, dtype, masters)


def _fit(
    model: PreTrainedModel,
    tokenizer: Any,
    samples: Sequence[Sample],
    collate: Collator,
    recipe: Recipe,
    workplace: Path,
    device: str,
    keep: Callable[[Path], None],
    own: Sequence[TrainerCallback],
) -> tuple[int, list[dict[str, Any]]]:
    """Train with the Trainer and save the last weights; returns the last step and the Trainer's log.

    Raises:
        Interrupted: SIGTERM came; the state after the step is saved.
    """
    keeper = Keeper(recipe.checkpoint_steps, workplace / "intermediate", save=keep)
    stopper = Stopper()
    state = processes.broadcast(run_folder.last_state(workplace / "state"))
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    exact = parameters[0].dtype == torch.float32
    casts = _is_cast(recipe) and exact and state is None  # a state includes its master weights
    kind: Any = PredictingTrainer if recipe.devices == 1 else SharingTrainer
    trainer = kind(
        model=model,
        args=_arguments(recipe, sum(map(torch.Tensor.numel, parameters)), workplace / "state", device),
        train_dataset=samples if recipe.devices == 1 else filled_up(samples, tokenizer),
        data_collator=collate,
        callbacks=[*own, *events.of_run(workplace), Curve(), keeper, stopper, *([Unrounded(model)] if casts else [])],
        optimizer_cls_and_kwargs=(
            zero.offloaded_adamw(recipe.learning_rate) if recipe.optimizer == "adamw_offloaded" else None
        ),
    )
    trainer.train(resume_from_checkpoint=state)
    last = trainer.state.global_step
    if stopper.stopped:
        name = interruption.name()
        raise Interrupted(
            f"interrupted by {name} at step {last}: its state is saved, so run the same command again to continue."
        )
    keeper.save(workplace / "final")
    if recipe.engine == "deepspeed":
        trainer.model_wrapped.destroy()  # otherwise its hooks keep the model and the optimizer in memory
    return last, trainer.state.log_history


def _arguments(recipe: Recipe, parameters: int, state: Path, device: str) -> TrainingArguments:
    """The Trainer's arguments for a recipe that trains this number of parameters."""
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
        save_total_limit=2,  # the Trainer removes the previous one while other processes may still write the new one
        logging_steps=1,
        logging_nan_inf_filter=False,
        # A row without padding has no mask, and all of its tokens are counted.
        include_num_input_tokens_seen="all" if recipe.padding_free else "non_padding",
        report_to="none",
        disable_tqdm=True,
    )
    if settings.n_gpu > 1:
        settings._n_gpu = 1  # otherwise a single process would split its batches over all visible GPUs
    return settings


def _is_cast(recipe: Recipe) -> bool:
    """Whether the engine casts the model to bfloat16 and trains it with its own float32 master weights."""
    return recipe.engine == "deepspeed" and recipe.precision == "bf16"
