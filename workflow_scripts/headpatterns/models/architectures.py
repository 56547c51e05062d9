"""The sizes of a model in its config of transformers, as far as they are read before the model is loaded."""

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
"""Fields that are whole numbers from this on; those that layers have each for themselves may be lists."""


def problem(config: Mapping[str, Any]) -> str:
    """What is wrong with the first size that can be none, beginning with its name; empty where all are well."""
    for name, smallest in SMALLEST.items():
        value = config.get(name)
        if value is None or isinstance(value, list):
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
            return f"{name} is {value!r}: it must be a whole number of {smallest} or more, so fix it."
    return ""
