"""The training recipe of a run: all of its keys, with their defaults and allowed values.

Nothing large is imported, so that a command line refuses a wrong recipe before it imports torch.
"""

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, Literal, Self, get_args, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from headpatterns.data.records import nearest
from headpatterns.errors import InputError

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Low-rank adapters that are trained instead of all weights.

    Attributes:
        rank: of the product B A that is added to a weight.
        alpha: the product is multiplied by alpha / rank.
        dropout: of the inputs of A, in training.
        target_modules: ends of the names of modules with adapters, or `all-linear`: all linear ones except the head.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    rank: Count = 16
    alpha: Positive = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a run is trained.

    Attributes:
        learning_rate, lr_scheduler, warmup_ratio, weight_decay, max_grad_norm: AdamW and its schedule.
        epochs: passes over the training set; used when `max_steps` is None.
        max_steps: optimizer steps, or None.
        engine: `pytorch`, with everything in every process, or `deepspeed`: ZeRO-2.
        devices: processes that share the batches, one per GPU if there are GPUs; launch.py starts several.
        optimizer: `adamw` or `adamw_fused`, torch's own; or with deepspeed `adamw_offloaded`, whose states are in the
            host's memory.
        per_device_batch_size, gradient_accumulation_steps: samples of a micro-batch, micro-batches of a step.
        global_batch_size: samples of a step over all devices; checked against the product of the others.
        padding_free: whether a micro-batch is one row of samples without padding.
        precision: `fp32`, or `bf16` for mixed precision.
        gradient_checkpointing: whether activations are recomputed in the backward pass to save memory.
        checkpoint_dtype: of the stored weights, `float32` or `bfloat16`.
        checkpoint_steps: steps at which the weights are kept, in addition to the last.
        resume_every: steps between two states to resume from.
        seed: of the data order and of dropout; pretraining and LoRA also initialise weights with it.
        lora: adapters to train; None trains all weights.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    learning_rate: Positive
    lr_scheduler: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.03
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    max_grad_norm: Positive = 1.0
    epochs: Positive = 3.0
    max_steps: Count | None = None
    engine: Literal["pytorch", "deepspeed"] = "pytorch"
    devices: Count = 1
    optimizer: Literal["adamw", "adamw_fused", "adamw_offloaded"] = "adamw_fused"
    per_device_batch_size: Count
    gradient_accumulation_steps: Count = 1
    global_batch_size: Count
    padding_free: bool = False
    precision: Literal["fp32", "bf16"] = "fp32"
    gradient_checkpointing: bool = False
    checkpoint_dtype: Literal["float32", "bfloat16"] = "float32"
    checkpoint_steps: tuple[Count, ...] = ()
    resume_every: Count = 500
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    lora: Lora | None = None

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The recipe in a JSON object; the steps of its checkpoints are sorted, each once.

        Raises:
            InputError: the text is not a JSON object, a key is unknown, missing or has an invalid value, or the engine
                does not have the optimizer.
        """
        try:
            recipe = TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            raise InputError(_sentence(text, error)) from error
        if recipe.optimizer == "adamw_offloaded" and recipe.engine != "deepspeed":
            raise InputError(
                "recipe.optimizer adamw_offloaded needs the engine deepspeed: set recipe.engine to deepspeed, or "
                "use another optimizer."
            )
        return replace(recipe, checkpoint_steps=tuple(sorted(set(recipe.checkpoint_steps))))

    def stated(self) -> dict[str, Any]:
        """Keys and values; without `lora` if all weights are trained, because earlier versions had no such key."""
        return {key: value for key, value in asdict(self).items() if key != "lora" or value}


KEYS = tuple(field.name for field in fields(Recipe))
"""The keys of a recipe, in its order."""


def check_global_batch(recipe: Recipe) -> None:
    """Refuse a recipe whose batch sizes do not agree.

    Raises:
        InputError: the global batch size is not the product of its parts.
    """
    product = recipe.devices * recipe.per_device_batch_size * recipe.gradient_accumulation_steps
    if product != recipe.global_batch_size:
        raise InputError(
            f"global_batch_size is {recipe.global_batch_size}, but {recipe.devices} devices × per_device_batch_size "
            f"{recipe.per_device_batch_size} × gradient_accumulation_steps {recipe.gradient_accumulation_steps} = "
            f"{product}: make the two agree."
        )


def _sentence(text: str, error: ValidationError) -> str:
    """The problem of the first invalid key of a recipe.

    An unknown key is named before a missing one, because it may be the missing one, misspelt.
    """
    first = min(error.errors(), key=lambda each: each["type"] != "unexpected_keyword_argument")
    if not first["loc"]:
        return f"--recipe {text!r} is not a JSON object ({first['msg']}): give names and values in braces."
    name, key = str(first["loc"][0]), ".".join(map(str, first["loc"]))
    if first["type"] == "unexpected_keyword_argument":
        keys = KEYS if name == key else [field.name for field in fields(Lora)]
        return f"a recipe has no key {key}: {nearest(key.rpartition('.')[2], keys)}."
    if first["type"] == "missing":
        return f"the recipe lacks {name}: set recipe.{name}."
    return f"recipe.{key} is {json.dumps(first['input'])}, but {_wanted(name, first)}."


def _wanted(name: str, error: Any) -> str:
    """The expected value, in pydantic's words; for a choice, the most similar valid value."""
    said = str(error["msg"]).replace("Input should be", "should be")
    if error["type"] != "literal_error" or len(error["loc"]) > 1:
        return f"{said}: correct it"
    return f"{said}: {nearest(str(error['input']), get_args(get_type_hints(Recipe)[name]))}"
