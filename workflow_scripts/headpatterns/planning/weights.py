"""The size of a model on the disk: from its config and the headers of its weights, or the header of a GGUF file."""

import json
import math
import struct
from pathlib import Path
from typing import Any

from headpatterns.errors import InputError, first_line
from headpatterns.io import read_json_object
from headpatterns.models.gguf_header import read_header
from headpatterns.planning import formulas

NAMES = (("num_hidden_layers", "n_layer"), ("num_attention_heads", "n_head"), ("hidden_size", "n_embd"))
"""Keys of layers, heads and hidden size in configs of transformers."""

UNREADABLE = (
    OSError,
    ValueError,
    AttributeError,
    KeyError,
    TypeError,
    StopIteration,
    RuntimeError,
    struct.error,
)


def from_files(folder: Path) -> formulas.Model:
    """The size of the model in a folder.

    Raises:
        InputError: no weights, or files that are not what their names say.
    """
    try:
        config = read_json_object(folder / "config.json")
        config = config.get("text_config", config)
        weights = sorted(folder.glob("*.safetensors"))
        size = sum(path.stat().st_size for path in weights or folder.glob("*.bin"))
        parameters = sum(map(_parameters, weights)) if weights else size // formulas.BYTES.get(_dtype(config), 2)
        layers, heads, hidden = (next(config[name] for name in names if name in config) for names in NAMES)
    except UNREADABLE as error:
        raise InputError(
            f"the size of the model in {folder} cannot be read ({_said(error)}): give a complete model in Hugging "
            "Face layout."
        ) from error
    if not parameters:
        raise InputError(f"{folder} has no weights (*.safetensors or *.bin): give a complete model.")
    width = heads * (config.get("head_dim") or hidden // heads)
    return formulas.Model(parameters, layers, heads, width, hidden, size)


def _said(error: BaseException) -> str:
    """What went wrong; errors of Python alone need their names to be understood."""
    return first_line(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"


def from_gguf(file: Path) -> formulas.Model:
    """The size of the folder that is made of a GGUF file: its weights in float32.

    Raises:
        InputError: the header cannot be read, or lacks a size.
    """
    header = read_header(file)
    found = header.config()
    layers, heads = found["num_hidden_layers"], found["num_attention_heads"]
    size = header.parameters * formulas.BYTES["float32"]
    return formulas.Model(header.parameters, layers, heads, heads * found["head_dim"], found["hidden_size"], size)


def _dtype(config: dict[str, Any]) -> str:
    return config.get("dtype") or config.get("torch_dtype") or "bfloat16"


def _parameters(path: Path) -> int:
    """Numbers in a safetensors file: its first 8 bytes give the length of the JSON that describes them."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        described = json.loads(file.read(length))
    return sum(math.prod(entry["shape"]) for name, entry in described.items() if name != "__metadata__")
