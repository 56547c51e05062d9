"""LoRA: adapters on the frozen weights of a model are trained instead of the weights, and stored without them.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models". PEFT adds the adapters to the model. They are
stored in its layout, together with the base that they were trained on.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel

from headpatterns.data.records import nearest
from headpatterns.errors import InputError, first_line
from headpatterns.io import atomic_path, write_json
from headpatterns.models import checkpoints_of_adapters, lora_weights
from headpatterns.processes import group as processes
from headpatterns.training import deepspeed as zero
from headpatterns.training.recipe import Lora, Recipe

if TYPE_CHECKING:
    from peft import PeftModel

ALL = "all-linear"
SHOWN = 12
"""Most ends of module names that an error about an unknown target lists."""


class Base(NamedTuple):
    """The base model of adapters: its folder for later jobs, and the folder that has the same files now."""

    folder: Path
    written: Path


def put_in(model: PreTrainedModel, recipe: Recipe, key: str = "finetuning.lora") -> "PeftModel":
    """The model with adapters in float32, which are the only trained weights; the recipe's seed initialises them.

    B is initialised with zeros, so the first step starts from the unchanged model. `key` of the config describes the
    adapters.

    Raises:
        InputError: a target module is not in the model, or cannot have an adapter that is merged later.
    """
    from peft import LoraConfig, get_peft_model

    assert recipe.lora is not None
    check_targets(model, recipe.lora, key)
    torch.manual_seed(recipe.seed)
    chosen = recipe.lora.target_modules
    make: Any = LoraConfig  # its annotation says that alpha is an integer
    settings = make(
        task_type="CAUSAL_LM",
        r=recipe.lora.rank,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        target_modules=ALL if chosen == ALL else list(chosen),
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PEFT warns about the transposed weights of GPT-2
            adapted: PeftModel = get_peft_model(model, settings)
    except ValueError as error:
        raise InputError(
            f"{type(model).__name__} cannot have an adapter ({first_line(error)}): use another architecture, or "
            "method full."
        ) from error
    return adapted


def weights(model: PreTrainedModel, lora: Lora) -> int:
    """Number of weights of adapters on the linear modules of a model, without adding them.

    Adapters of embeddings, which `lora` may also name, are not counted.
    """
    head: Any = model.get_output_embeddings()
    return sum(
        lora.rank * sum(own.weight.shape)
        for name, own in model.named_modules()
        if lora_weights.is_linear(own)
        and (own is not head if lora.target_modules == ALL else _is_named(name, lora.target_modules))
    )


def _is_named(name: str, targets: Sequence[str]) -> bool:
    return any(name == target or name.endswith(f".{target}") for target in targets)


def check_targets(model: PreTrainedModel, lora: Lora, key: str) -> None:
    """Refuse modules that do not exist, or whose weight is shared by both embeddings.

    Raises:
        InputError: naming the target.
    """
    if lora.target_modules == ALL:
        return
    changeable = [name for name, module in model.named_modules() if lora_weights.can_be_changed(module)]
    ends = list(dict.fromkeys(name.rpartition(".")[2] for name in changeable))
    tied = lora_weights.tied(model)
    for target in lora.target_modules:
        found = [name for name in changeable if _is_named(name, [target])]
        if not found:
            raise InputError(
                f"{key}.target_modules names {target}, but no linear module of {type(model).__name__} has that "
                f"name: {nearest(target, ends[:SHOWN])}."
            )
        if shared := next((name for name in found if name in tied), None):
            raise InputError(
                f"{key}.target_modules names {target}, but input and output embeddings share the weight of "
                f"{shared}, so its adapter cannot be merged: leave it out."
            )


def save(model: "PeftModel", tokenizer: Any, folder: Path, base: Base, dtype: str, masters: bool) -> None:
    """Write the adapters of a model in PEFT's layout, their weights in `dtype`, with config and tokenizer of the base.

    Apart from the stored weights, it works like `saving.save`.
    """
    from peft import get_peft_model_state_dict

    whole = zero.master_weights(model) if masters else model.state_dict()
    if processes.is_first():
        state = get_peft_model_state_dict(model, state_dict=whole, save_embedding_layers=False)
        stored = {name: value.detach().to("cpu", getattr(torch, dtype)).contiguous() for name, value in state.items()}
        with atomic_path(folder) as temporary:
            temporary.mkdir()
            save_file(stored, temporary / lora_weights.WEIGHTS, metadata={"format": "pt"})
            write_json(temporary / lora_weights.CONFIG, _config(model, base.folder))
            (temporary / "config.json").write_bytes((base.written / "config.json").read_bytes())
            tokenizer.save_pretrained(temporary)
            checkpoints_of_adapters.name_base(temporary, *base)
    processes.barrier()


def _config(model: "PeftModel", base: Path) -> dict[str, Any]:
    """PEFT's config of the adapters, with names of modules in the same order in every process."""
    settings = model.peft_config["default"].to_dict() | {"base_model_name_or_path": str(base), "inference_mode": True}
    return {key: sorted(value) if isinstance(value, set) else value for key, value in sorted(settings.items())}
