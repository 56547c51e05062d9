"""LoRA adapters in PEFT's layout: read them, check whether they fit a model, and add them to its weights.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models": W + s · B A, with s = alpha / rank. PEFT is not
imported: checkpoints are read in environments that lack it, and the sum is one line.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headpatterns.errors import InputError, first_line
from headpatterns.io import is_lfs_pointer, read_json_object

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

CONFIG, WEIGHTS, PICKLED = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
"""PEFT's names for the config of an adapter, for its weights, and for weights that older versions wrote."""

NO_MODEL = (
    f"has an adapter ({CONFIG}), which is not a complete model: merge it into its base (merge_and_unload of PEFT) "
    "and save the result, or name it as source.lora of a run in `finetuned`"
)
"""The message about an adapter that is given instead of a model, after its folder."""

READ = frozenset(
    {
        "r",
        "lora_alpha",
        "alpha_pattern",
        "rank_pattern",
        "use_rslora",
        "target_modules",
        "exclude_modules",
        "layers_to_transform",
        "layers_pattern",
    }
)
"""Keys of PEFT's config that define what is added to which weights."""

WITHOUT_EFFECT = frozenset(
    {
        "auto_mapping",
        "base_model_name_or_path",
        "ensure_weight_tying",
        "eva_config",
        "fan_in_fan_out",
        "inference_mode",
        "lora_dropout",
        "megatron_core",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "revision",
        "runtime_config",
        "task_type",
    }
)
"""Keys without effect on a trained adapter without dropout. How a weight is stored follows from its own module."""

STARTS = (True, False, "gaussian", "eva", "orthogonal")
"""Values of init_lora_weights that do not change the base. Others (PiSSA, OLoRA, CorDA, LoftQ) subtract from it."""

PREFIX = "base_model.model."
COPY = ".base_layer.weight"
"""End of the name of a base's own embedding, which PEFT saves together with the factors that change it."""

PARTS = re.compile(r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<factor>[AB])(?:\.weight)?")
"""A name of PEFT's weights without its prefix."""


@dataclass(frozen=True)
class Factors:
    """The change of one weight by an adapter: `scale` · B A.

    Attributes:
        a: [rank, inputs].
        b: [outputs, rank].
        scale: alpha / rank, or alpha / √rank with rsLoRA.
        embedding: whether the weight is an embedding, whose inputs are tokens.
    """

    a: "torch.Tensor"
    b: "torch.Tensor"
    scale: float
    embedding: bool

    def shape(self, module: Any) -> tuple[int, int]:
        """Shape of the product as the module stores its weight: linear layers have [outputs, inputs]."""
        outputs, inputs = self.b.shape[0], self.a.shape[1]
        return (inputs, outputs) if _is_transposed(module) else (outputs, inputs)

    def product(self, module: Any) -> "torch.Tensor":
        """The change of the weight of a module, float32, on the device of the weight."""
        device = module.weight.device
        delta = self.b.to(device).float() @ self.a.to(device).float() * self.scale
        return delta.T if _is_transposed(module) else delta


@dataclass(frozen=True)
class Adapter:
    """An adapter as it was read.

    Attributes:
        folder: its path.
        settings: the keys of its config.
        factors: by the module whose weight they are added to.
    """

    folder: Path
    settings: Mapping[str, Any]
    factors: Mapping[str, Factors]

    @property
    def trained_on(self) -> str:
        """The base that it names, after a semicolon; empty if it names none."""
        name = self.settings.get("base_model_name_or_path")
        return f"; it was trained on {name}" if name else ""


def is_adapter(folder: Path) -> bool:
    """Whether a folder has an adapter of any kind in PEFT's layout."""
    return (folder / CONFIG).is_file()


def read(folder: Path) -> Adapter:
    """The adapter in a folder.

    Raises:
        InputError: it is not an adapter, is of another kind than LoRA or does more than LoRA, or its weights are
            pickled, unreadable, not finite or incomplete.
    """
    if not is_adapter(folder):
        raise InputError(f"{folder} has no adapter ({CONFIG}): give a folder that PEFT has saved (save_pretrained).")
    settings = read_json_object(folder / CONFIG)
    _check_settings(folder, settings)
    tensors = _tensors(folder)
    found: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        if name.endswith(COPY):
            continue
        parts = PARTS.fullmatch(name.removeprefix(PREFIX))
        if parts is None or tensor.dim() != 2:
            raise InputError(
                f"{folder / WEIGHTS} has {name} {tuple(tensor.shape)}, which is not a factor of LoRA: {_merge_it()}."
            )
        if not tensor.isfinite().all():
            raise InputError(
                f"{folder / WEIGHTS} is damaged: {name} has NaN or infinity; give an adapter with finite weights."
            )
        found.setdefault(parts["module"], {"embedding": bool(parts["embedding"])})[parts["factor"]] = tensor
    for module, factors in found.items():
        if "A" not in factors or "B" not in factors or factors["A"].shape[0] != factors["B"].shape[1]:
            raise InputError(
                f"{folder / WEIGHTS} has no two factors for {module} that fit each other: give the complete adapter."
            )
    return Adapter(folder, settings, {module: _factors(module, settings, **one) for module, one in found.items()})


def _merge_it() -> str:
    return "merge it with PEFT (merge_and_unload), save that model and give its folder"


def _check_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Refuse adapters that are not LoRA, change more than weights, or change them in another way.

    Raises:
        InputError: naming the kind or the key.
    """
    kind = settings.get("peft_type")
    if kind != "LORA":
        raise InputError(f"{folder / CONFIG} describes an adapter of the kind {kind}, not LORA: {_merge_it()}.")
    for key, value in settings.items():
        if key == "init_lora_weights":
            known = value in STARTS
        elif key == "bias":
            known = value == "none"
        else:
            known = key in READ or key in WITHOUT_EFFECT or not value
        if not known:
            raise InputError(
                f"{folder / CONFIG} has {key}: {value!r}, which does more than add a product to weights: {_merge_it()}."
            )
    rank, alpha = settings.get("r"), settings.get("lora_alpha")
    if not isinstance(rank, int) or not isinstance(alpha, int | float) or not settings.get("target_modules"):
        raise InputError(f"{folder / CONFIG} lacks r, lora_alpha or target_modules: save the adapter with PEFT again.")


def _tensors(folder: Path) -> "dict[str, torch.Tensor]":
    """Weights of an adapter by name, in the processor's memory.

    Raises:
        InputError: there are none, or they cannot be read.
    """
    import safetensors.torch

    path = folder / WEIGHTS
    if not path.is_file():
        pickled = (folder / PICKLED).is_file()
        raise InputError(
            f"{folder / PICKLED} is pickled, and pickled adapters are never read: save it as safetensors "
            "(save_pretrained of PEFT with safe_serialization)."
            if pickled
            else f"{folder} has a {CONFIG} but no {WEIGHTS}: give the complete adapter."
        )
    if is_lfs_pointer(path):
        raise InputError(f"{path} is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`.")
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:  # safetensors raises several types for what is one thing to the user
        raise InputError(f"{path} cannot be read ({first_line(error)}): give the complete adapter.") from error


def _factors(module: str, settings: Mapping[str, Any], **found: Any) -> Factors:
    """The factors of a module with their scale; patterns are PEFT's, ends of module names."""
    patterns = settings.get("alpha_pattern") or {}
    own = [alpha for pattern, alpha in patterns.items() if re.match(rf"(.*\.)?({pattern})$", module)]
    alpha, rank = (own or [settings["lora_alpha"]])[0], found["A"].shape[0]
    scale = alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
    return Factors(found["A"], found["B"], scale, found["embedding"])


def check_fit(adapter: Adapter, model: "PreTrainedModel", base: Path) -> None:
    """Refuse an adapter that was trained on another model; the model may be on torch's device `meta`.

    Raises:
        InputError: it has weights for modules that the model lacks, or of another width, or lacks weights for a module
            that its config names; or it changes an embedding that is tied to another weight.
    """
    modules = dict(model.named_modules())

    def refuse(what: str) -> InputError:
        return InputError(
            f"the adapter in {adapter.folder} does not fit the model in {base}: {what}{adapter.trained_on}: give "
            "the base model that it was trained on."
        )

    for name, factors in adapter.factors.items():
        if name not in modules:
            raise refuse(f"it changes {name}, which this model lacks")
        module = modules[name]
        if not can_be_changed(module) or factors.embedding != _is_embedding(module):
            raise InputError(
                f"the adapter in {adapter.folder} changes {name}, which is a {type(module).__name__}: {_merge_it()}."
            )
        if factors.shape(module) != tuple(module.weight.shape):
            raise refuse(
                f"it changes a weight {name} of the shape {factors.shape(module)}, which is "
                f"{tuple(module.weight.shape)} here"
            )
    lacking = [name for name in _targets(adapter.settings, modules) if name not in adapter.factors]
    if lacking and adapter.settings.get("layers_to_transform") is None:
        raise refuse(f"its config targets {lacking[0]}, but it has no weights for that module")
    if changed := sorted(set(tied(model)) & adapter.factors.keys()):
        raise InputError(
            f"the adapter in {adapter.folder} changes {changed[0]}, but the model in {base} shares this weight "
            "between input and output embeddings, so it cannot be merged: train an adapter without it."
        )


def _targets(settings: Mapping[str, Any], modules: Mapping[str, Any]) -> Iterator[str]:
    """Modules that an adapter's config names: by a regular expression for the whole name, or by ends of names."""

    def named(name: str, chosen: Any) -> bool:
        if isinstance(chosen, str):
            return re.fullmatch(chosen, name) is not None
        return any(name == one or name.endswith(f".{one}") for one in chosen or ())

    for name, module in modules.items():
        excluded = named(name, settings.get("exclude_modules"))
        if can_be_changed(module) and named(name, settings["target_modules"]) and not excluded:
            yield name


def tied(model: "PreTrainedModel") -> list[str]:
    """Names of input and output embeddings, if they are one weight."""
    ends: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
    if None in ends or ends[0].weight is not ends[1].weight:
        return []
    return [name for name, module in model.named_modules() if any(module is end for end in ends)]


def _is_embedding(module: Any) -> bool:
    import torch

    return isinstance(module, torch.nn.Embedding)


def _is_transposed(module: Any) -> bool:
    """Whether a weight is stored as [inputs, outputs], as for an embedding and GPT-2's Conv1D."""
    return _is_embedding(module) or type(module).__name__ == "Conv1D"


def is_linear(module: Any) -> bool:
    """Whether a module is a linear layer; GPT-2's Conv1D counts as one."""
    import torch

    return isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D"


def can_be_changed(module: Any) -> bool:
    """Whether a product can be added to the weight of a module."""
    return is_linear(module) or _is_embedding(module)


def add(adapter: Adapter, model: "PreTrainedModel", base: Path) -> None:
    """Add an adapter to the weights of its base model: each in float32, then rounded once to the weight's dtype.

    Raises:
        InputError: as `check_fit`, or a sum is not finite.
    """
    import torch

    check_fit(adapter, model, base)
    for name, factors in adapter.factors.items():
        module = model.get_submodule(name)
        weight: Any = module.weight
        with torch.no_grad():
            weight.copy_(weight.float().add_(factors.product(module)))
        if not all(bound.isfinite() for bound in weight.aminmax()):
            raise InputError(
                f"the adapter in {adapter.folder} makes {name} of {base} infinite as {weight.dtype}: use another dtype."
            )
