"""LoRA adapters that PEFT saved: whether an adapter fits a base model, and the merged model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from headpatterns.errors import InputError, first_line
from headpatterns.io import atomic_path, sha256, write_json
from headpatterns.models import loading, lora_weights
from headpatterns.models.lora_weights import CONFIG, WEIGHTS, Adapter
from headpatterns.provenance import git_commit, versions

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ABOUT = "lora.json"
"""The file of a merged folder that describes its adapter."""


def check(folder: Path, base: Path) -> None:
    """Refuse an adapter that does not belong to a base model; the weights of the base are not read.

    Args:
        folder: the adapter's, in PEFT's layout.
        base: the base model's, in Hugging Face layout.

    Raises:
        InputError: as `lora_weights.read` and `lora_weights.check_fit`; or the base cannot be read.
    """
    _fitting(folder, base)


def _fitting(folder: Path, base: Path) -> Adapter:
    """An adapter that belongs to a base model."""
    adapter = lora_weights.read(folder)
    lora_weights.check_fit(adapter, _skeleton(base), base)
    return adapter


def _skeleton(folder: Path) -> "PreTrainedModel":
    """The modules of the model in a folder, without memory for their weights."""
    import torch
    import transformers

    loading.check_folder(folder)
    config = loading.load_config(folder)
    try:
        with torch.device("meta"):
            model: PreTrainedModel = transformers.AutoModelForCausalLM.from_config(config)
    except Exception as error:  # transformers raises many types for what is one thing to the user
        raise InputError(f"the model in {folder} cannot be built: {first_line(error)}.") from error
    return model


def merge(folder: Path, base: Path, output: Path, dtype: str) -> None:
    """Write a base model with a merged adapter: weights, config, tokenizer and `lora.json`. It is complete or absent.

    Each sum is computed in float32 and rounded once. The tokenizer is the adapter's if it has one, with the chat
    template of its training; otherwise it is the base's.

    Args:
        folder: the adapter's, in PEFT's layout.
        base: the base model's, in Hugging Face layout.
        output: folder of the merged model.
        dtype: of its weights: `float32`, `bfloat16` or `float16`.

    Raises:
        InputError: as `check` and `loading.load_model`.
    """
    adapter = _fitting(folder, base)
    model = loading.load_model(base, loading.wider(loading.stored_dtype(base), dtype))
    lora_weights.add(adapter, model, base)
    loading.cast(model, dtype)
    tokenizer: Any = loading.load_tokenizer(folder if loading.has_tokenizer(folder) else base)
    with atomic_path(output) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        write_json(temporary / ABOUT, about(adapter))


def about(adapter: Adapter) -> dict[str, Any]:
    """The provenance of an adapter: name, checksums, rank, and the versions that merged it."""
    settings = adapter.settings
    return {
        "adapter": adapter.folder.name,
        "sha256": sha256(adapter.folder / WEIGHTS),
        "config_sha256": sha256(adapter.folder / CONFIG),
        "trained_on": settings.get("base_model_name_or_path"),
        "rank": settings["r"],
        "alpha": settings["lora_alpha"],
        "modules": len(adapter.factors),
        "commit": git_commit(),
        "versions": versions(),
    }
