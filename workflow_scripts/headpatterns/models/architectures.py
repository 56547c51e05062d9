"""The sizes of a model in its transformers config that are read before the model is loaded."""

from collections.abc import Mapping
from typing import Any

SMALLEST = {
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "hidden_size": 1,
    "num_key_value_heads": 1,
    "head_dim": 1,
    "max_position_embeddings": 1,
    "intermediate_size": 0,
    "ffn_dim": 0,
    "word_embed_proj_dim": 0,
}
"""Smallest values of fields that are whole numbers; fields with a value per layer may be lists."""


def problem(config: Mapping[str, Any]) -> str:
    """What is wrong with the first invalid size, starting with its name; empty if all are valid."""
    for name, smallest in SMALLEST.items():
        value = config.get(name)
        if value is None or isinstance(value, list):
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
            return f"{name} is {value!r}: it must be a whole number of {smallest} or more, so fix it."
    return ""
