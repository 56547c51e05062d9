"""The sizes of a model in its config of transformers, as far as the workflow reads them before any job."""

from collections.abc import Mapping
from typing import Any

SIZES = (
    "max_position_embeddings",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_size",
    "intermediate_size",
    "ffn_dim",
    "word_embed_proj_dim",
)
"""Fields that are whole numbers from 1 on wherever they stand."""


def problem(config: Mapping[str, Any]) -> str:
    """What is wrong with the first size that can be none, to be read after a dot; empty where all are well."""
    for name in SIZES:
        value = config.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            return f"{name} is {value!r}: a size is a whole number from 1 on, so fix it."
    return ""
