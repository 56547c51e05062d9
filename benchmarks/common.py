"""Shared parts of the benchmarks of models: architectures, samples, and speed and memory of machines."""

import platform
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headpatterns.io import atomic_path, write_csv

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

LLAMA = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32}
ARCHITECTURES = {
    "llama-3-8b": {**LLAMA, "intermediate_size": 14336, "num_key_value_heads": 8, "vocab_size": 128256},
    "llama-2-7b": {**LLAMA, "intermediate_size": 11008, "vocab_size": 32000},
    "llama-3.2-1b": {
        **LLAMA, "hidden_size": 2048, "num_hidden_layers": 16, "intermediate_size": 8192, "num_key_value_heads": 8,
        "vocab_size": 128256, "tie_word_embeddings": True,
    },
    "tinyllama-1.1b": {
        **LLAMA, "hidden_size": 2048, "num_hidden_layers": 22, "intermediate_size": 5632, "num_key_value_heads": 4,
        "vocab_size": 32000,
    },
    "smollm2-135m": {
        "model_type": "llama", "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9,
        "intermediate_size": 1536, "num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": True,
    },
    "gemma-7b": {
        "model_type": "gemma", "hidden_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
        "num_key_value_heads": 16, "head_dim": 256, "intermediate_size": 24576, "vocab_size": 256000,
    },
    "opt-6.7b": {
        "model_type": "opt", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
        "ffn_dim": 16384, "word_embed_proj_dim": 4096, "vocab_size": 50272,
    },
    "medium": {
        "model_type": "llama", "hidden_size": 512, "num_hidden_layers": 8, "num_attention_heads": 8,
        "intermediate_size": 1376, "vocab_size": 4096,
    },
    "small": {
        "model_type": "llama", "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 8,
        "intermediate_size": 688, "vocab_size": 4096,
    },
}  # fmt: skip
"""Fields of transformers' configs; entries with names of models have the published shapes."""

GSM8K = {"prompt": (55, 0.39), "response": (85, 0.49)}
"""Median of the tokens of questions and answers, with 4 and 3 characters per token, and the spread of the logarithm."""

PEAKS = {
    "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "H200": 989e12, "H800": 989e12, "B200": 2250e12,
    "A100": 312e12, "A800": 312e12, "L40S": 362e12,
}  # fmt: skip
"""Dense bf16 operations per second according to NVIDIA, by a part of the GPU's name; more specific names come first."""

RSS_UNITS = 1024**3 if sys.platform == "darwin" else 1024**2
"""Divisor of `ru_maxrss` for GiB; it is in bytes on macOS and in KiB elsewhere."""


def random_model(config: "PretrainedConfig", dtype: str, device: Any) -> "PreTrainedModel":
    """A model with random weights, initialised on the device."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    with torch.device(device):
        return AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))


def gsm8k_lengths(count: int, generator: np.random.Generator) -> list[tuple[int, int]]:
    """Tokens of prompt and response, distributed as GSM8K's."""
    drawn = [
        np.exp(generator.normal(np.log(median), spread, count)).astype(int).clip(2, 512)
        for median, spread in GSM8K.values()
    ]
    return list(zip(*(lengths.tolist() for lengths in drawn), strict=True))


def peak_gib(device: "torch.device") -> float:
    """The peak memory of this process: on a GPU, the memory reserved by PyTorch; elsewhere its resident set."""
    if device.type != "cuda":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / RSS_UNITS

    import torch

    return torch.cuda.max_memory_reserved(device) / 1024**3


def machine(device: "torch.device") -> str:
    """The name of a GPU, or of the processor."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return torch.cpu.get_capabilities().get("cpu_name") or platform.machine()


def bf16_peak(device: "torch.device") -> float | None:
    """Dense bf16 operations per second of a GPU by its data sheet, None if it is not known."""
    if device.type != "cuda":
        return None

    import torch

    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def causal_attention(config: "PretrainedConfig", lengths: Sequence[int]) -> float:
    """Operations of the attention of all layers, forward and backward, over samples of these lengths.

    In each layer, a sample of n tokens needs n²/2 products of queries with keys, and as many of weights with values.
    Each has 2 operations per channel, and three times as many with the backward pass: 6 n² per channel of all heads
    together.
    """
    text = config.get_text_config()
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    width = text.num_hidden_layers * text.num_attention_heads * size
    return 6 * width * float((np.array(lengths, dtype=float) ** 2).sum())


def markdown(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """The table in Markdown, numbers with four digits, and an empty cell if a row has no value."""
    values = [[row.get(column, "") for column in columns] for row in rows]
    cells = [[f"{value:.4g}" if isinstance(value, float) else str(value) for value in row] for row in values]
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(columns), ["---"] * len(columns), *cells])


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]], text: str) -> None:
    """Write the table as CSV, and the text that shows it as Markdown; the suffix of `path` is ignored."""
    write_csv(path.with_suffix(".csv"), columns, [[row.get(name, "") for name in columns] for row in rows])
    with atomic_path(path.with_suffix(".md")) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
