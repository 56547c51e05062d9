"""The linear modules of a decoder's layers, from its config alone, and the number of weights of adapters on them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

ALL = "all-linear"
"""PEFT's name for all linear modules except the output embeddings."""

OF_WIDTH = frozenset({"llama", "mistral", "qwen2"})
"""Types of models whose heads divide the hidden size equally, unless their config states the size of a head."""

GATED = OF_WIDTH | {"gemma", "gemma2", "qwen3"}
"""Types of models with Llama's modules."""

GATED_SIZES = ("hidden_size", "num_attention_heads", "intermediate_size")
"""Sizes that a config of these models states."""

Shapes = Mapping[str, tuple[int, int]]
"""Inputs and outputs of the linear modules of a layer, by name."""


def adapter_weights(config: Mapping[str, Any], rank: int, targets: str | Sequence[str]) -> int | None:
    """How many weights adapters have: rank × (inputs + outputs) for each module.

    Args:
        config: fields of a config of transformers.
        rank: of the adapters.
        targets: names of modules, or `ALL`.

    Returns:
        Their number; None if the architecture is not known here, the config does not state a size, or a target is not a
        known module.
    """
    shapes, layers = of_layer(config), config.get("num_hidden_layers")
    named = list(shapes or []) if targets == ALL else targets
    if shapes is None or not _is_size(layers) or not shapes.keys() >= set(named):
        return None
    return int(layers * rank * sum(sum(shapes[name]) for name in named))


def of_layer(config: Mapping[str, Any]) -> Shapes | None:
    """The linear modules of a layer; None if they are not known."""
    kind = config.get("model_type")
    if kind not in {*GATED, "opt"}:
        return None
    needed = ("hidden_size", "ffn_dim", "word_embed_proj_dim") if kind == "opt" else GATED_SIZES
    if not all(_is_size(config.get(name)) for name in needed):
        return None
    return _opt(config) if kind == "opt" else _gated(config)


def _is_size(value: Any) -> TypeGuard[int]:
    """Whether a value is a size; other values are refused elsewhere, with their key."""
    return isinstance(value, int) and value > 0


def _gated(config: Mapping[str, Any]) -> Shapes | None:
    hidden, heads, inner = config["hidden_size"], config["num_attention_heads"], config["intermediate_size"]
    kind, shared, head = config["model_type"], config.get("num_key_value_heads"), config.get("head_dim")
    if (head is None and kind not in OF_WIDTH) or (shared is None and kind != "llama"):
        return None
    head, shared = hidden // heads if head is None else head, heads if shared is None else shared
    if not (_is_size(head) and _is_size(shared)):
        return None
    return {
        "q_proj": (hidden, heads * head),
        "k_proj": (hidden, shared * head),
        "v_proj": (hidden, shared * head),
        "o_proj": (heads * head, hidden),
        "gate_proj": (hidden, inner),
        "up_proj": (hidden, inner),
        "down_proj": (inner, hidden),
    }


def _opt(config: Mapping[str, Any]) -> Shapes | None:
    hidden, inner = config["hidden_size"], config["ffn_dim"]
    if config["word_embed_proj_dim"] != hidden:  # further modules outside the layers
        return None
    attention = dict.fromkeys(("q_proj", "k_proj", "v_proj", "out_proj"), (hidden, hidden))
    return {**attention, "fc1": (hidden, inner), "fc2": (inner, hidden)}
