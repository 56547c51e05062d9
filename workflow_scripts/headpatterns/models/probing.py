"""Checks of a tokenizer and a model right after loading, for problems that would otherwise appear hours later."""

import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headpatterns.data import seam
from headpatterns.errors import InputError, first_line
from headpatterns.io import is_lfs_pointer, read_json_object
from headpatterns.models import architectures

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

NEEDED = {"unk_token": "unknown", "eos_token": "EOS", "bos_token": "BOS"}
"""Special tokens that occur in texts, and their names in messages."""

SCALED = ("I8", "U8", "F8")
"""Prefixes of safetensors' names for the types of quantized weights."""

SETTINGS = ("config.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json")
"""Small files of a model's folder that several libraries read."""

UNUSUAL = "x \u4e16\u754c \u00e9\U0001f600"
"""A text that shows how a tokenizer handles unknown characters."""


def check_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Refuse a tokenizer whose special tokens do not fit the assumptions of training, attribution and evaluation.

    A padding token that is empty, unknown or without an embedding is removed instead: padding is always masked, and EOS
    replaces a missing padding token.

    Args:
        tokenizer: of transformers.
        folder: the folder that it was loaded from; config.json in it gives the number of embeddings of a model.

    Raises:
        InputError: EOS is missing; EOS, BOS or the unknown token is empty or not in the vocabulary, or has no embedding
            although it occurs in texts; or no text can be tokenized.
    """
    if not tokenizer.eos_token:
        raise InputError(f"the tokenizer in {folder} has no EOS token: set eos_token in its tokenizer_config.json.")
    for name, called in NEEDED.items():
        # This comes before any id is looked up, because the lookup of an empty unknown token would never end.
        if getattr(tokenizer, name) == "":
            raise InputError(
                f"the tokenizer in {folder} has an empty {called} token: give {name} its text in its "
                "tokenizer_config.json, or remove it there."
            )
    for name, called in NEEDED.items():
        token = getattr(tokenizer, name)
        if token is not None and _is_unknown(tokenizer, name):
            raise InputError(
                f"the tokenizer in {folder} has the {called} token '{token}', which is not in its vocabulary: set "
                f"{name} in its tokenizer_config.json to one that is."
            )
    embeddings = _embeddings(folder)
    if tokenizer.pad_token is not None and (
        not tokenizer.pad_token or _is_unknown(tokenizer, "pad_token") or tokenizer.pad_token_id >= embeddings
    ):
        tokenizer.pad_token = None
    try:
        put_before = seam.encoded(tokenizer, [UNUSUAL])[0]
    except InputError:
        raise
    except Exception as error:  # tokenizers raises a bare Exception
        raise InputError(f"the tokenizer in {folder} cannot tokenize a text: {first_line(error)}.") from error
    for name in ("eos_token", "bos_token"):
        token, number = getattr(tokenizer, name), getattr(tokenizer, f"{name}_id")
        if token is not None and number >= embeddings and (name == "eos_token" or number in put_before):
            raise InputError(
                f"the tokenizer in {folder} has the {NEEDED[name]} token '{token}' with the id {number}, but the "
                f"model has {embeddings} embeddings (vocab_size of its config.json): set {name} in "
                "tokenizer_config.json to a token that the model knows."
            )


def _is_unknown(tokenizer: Any, name: str) -> bool:
    """Whether a special token is not in the vocabulary, so that tokenizers give it the id of the unknown token."""
    number = getattr(tokenizer, f"{name}_id")
    lent = number == tokenizer.unk_token_id and str(getattr(tokenizer, name)) != str(tokenizer.unk_token)
    return number is None or lent


def _embeddings(folder: Path) -> float:
    """Number of embeddings of the model in a folder by its config.json; infinite if it is not stated."""
    config = config_of(folder)
    text = config.get("text_config")
    found = config.get("vocab_size") or (text.get("vocab_size") if isinstance(text, dict) else None)
    return found if isinstance(found, int) else float("inf")


def config_of(folder: Path) -> dict[str, Any]:
    """The fields of config.json in a folder; empty if there is no such file.

    Raises:
        InputError: it is not a JSON object.
    """
    path = folder / "config.json"
    return read_json_object(path) if path.is_file() else {}


def repairs(folder: Path) -> dict[str, Any]:
    """Keys of config.json that are replaced by None when a model is loaded.

    This removes a padding token beyond the embeddings, which would prevent loading. Padding is always masked.
    """
    padding = read_json_object(folder / "config.json").get("pad_token_id")
    return {"pad_token_id": None} if isinstance(padding, int) and padding >= _embeddings(folder) else {}


def check_packages(folder: Path) -> None:
    """Refuse a tokenizer that is only a SentencePiece model if the packages that read it are not installed.

    Raises:
        InputError: a package is missing; transformers would name another one.
    """
    alone = any((folder / name).is_file() for name in ("tokenizer.model", "spiece.model"))
    if not alone or (folder / "tokenizer.json").is_file():
        return
    for package, module in (("sentencepiece", "sentencepiece"), ("protobuf", "google.protobuf")):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise InputError(
                f"the tokenizer in {folder} is a SentencePiece model, which only the Python package {package} can "
                "read: install the version that envs/workflow.txt names, or put the model's tokenizer.json there."
            ) from error


def check_settings(folder: Path) -> None:
    """Refuse a folder with invalid JSON files or invalid sizes of the model; libraries give less clear errors.

    Raises:
        InputError: with the name of the file.
    """
    for name in SETTINGS:
        if not (folder / name).is_file():
            continue
        found = read_json_object(folder / name)
        if name == "config.json" and (said := architectures.problem(found)):
            raise InputError(f"{folder / name} cannot be that of a model: {said}")


def check_stored(folder: Path) -> None:
    """Refuse files that are not weights, and quantized numbers without a scale.

    Raises:
        InputError: weights are a pointer of Git LFS, an index is not JSON, or weights are integers of 8 bits
            or float8 and config.json does not state their quantization: loaded as they are, they would be noise.
    """
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]):
        if is_lfs_pointer(path):
            raise InputError(f"{path} is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`.")
    for index in sorted(folder.glob("*.index.json")):
        read_json_object(index)
    if read_json_object(folder / "config.json").get("quantization_config"):
        return
    for path in sorted(folder.glob("*.safetensors")):
        for name, kind in _stored(path):
            if name.endswith("weight") and kind.startswith(SCALED):
                raise InputError(
                    f"{path} stores {name} as {kind}, but config.json does not say how it is scaled "
                    "(quantization_config): give the model in bfloat16 or float32."
                )


def _stored(path: Path) -> Iterator[tuple[str, str]]:
    """Names of tensors and their types; empty for a file that loading will refuse."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            yield from ((name, file.get_slice(name).get_dtype()) for name in file.keys())  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError):
        return


def check_weights(model: "PreTrainedModel", folder: Path) -> None:
    """Refuse weights that are not finite, with which no loss or pattern would be finite.

    Raises:
        InputError: one of them is NaN or infinite.
    """
    for name, parameter in model.named_parameters():
        if parameter.numel() and not all(bound.isfinite() for bound in parameter.detach().aminmax()):
            raise InputError(
                f"the weights in {folder} are damaged: {name} has NaN or infinity; give a checkpoint with "
                "finite weights."
            )


def settle(model: "PreTrainedModel", folder: Path) -> None:
    """Turn off the outputs for inspection in a model's config, and refuse settings that cannot be saved.

    Raises:
        InputError: transformers does not save its config, or its settings for generation, as they are.
    """
    for config in _configs(model.config):
        config.output_attentions = config.output_hidden_states = False
        if hasattr(config, "return_dict"):
            config.return_dict = True
    parts: dict[str, Any] = {"config": model.config}
    if model.can_generate():
        parts["generation_config"] = model.generation_config
    with tempfile.TemporaryDirectory() as place:
        for name, part in parts.items():
            try:
                part.save_pretrained(place)
            except OSError:
                raise
            except Exception as error:  # transformers and huggingface_hub raise several types
                raise InputError(
                    f"checkpoints of the model in {folder} could not be saved ({name}: {first_line(error)}): correct "
                    f"its {name}.json."
                ) from error


def _configs(config: "PretrainedConfig") -> "list[PretrainedConfig]":
    """A config and the configs of the parts of its model."""
    parts = (getattr(config, name, None) for name in config.sub_configs)
    return [config, *(part for part in parts if part is not None)]
