"""The inputs of benchmarks/attribution.py: a model, and samples that it can read."""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import common
import numpy as np

from headpatterns.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from headpatterns.data.records import Instruction
    from headpatterns.data.tokens import TokenizedSample

SIZES = {"length": (256, 512, 1024, 2048, 4096, 8192), "width": (256, 512, 1024, 2048)}
SWEPT = "medium"
"""The architecture of the sweeps."""

HEAD_SIZE, WIDTHS_LENGTH = 64, 512
"""Head size of the models of the width sweep, and tokens of each of its samples."""

LONGEST = 1024
"""Tokens at which rows are cut, as in the paper."""

CHARACTERS = 3.5
"""Approximate characters per token of GSM8K's text, if there is no tokenizer."""


def prepared(arguments: argparse.Namespace, size: int | str) -> tuple["PreTrainedModel", list["TokenizedSample"]]:
    """The model on its device, and the samples."""
    import torch
    import transformers

    from headpatterns.models import loading as models

    torch.set_num_threads(arguments.threads)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    models.check_device(arguments.device)
    if has_tokenizer(arguments):
        model = made(arguments, size, LONGEST)
        return model, tokenized(arguments, model)
    lengths = generated_lengths(arguments, size)
    model = made(arguments, size, max(map(sum, lengths)))
    return model, random_tokens(lengths, model.config.get_text_config().vocab_size)


def padding(arguments: argparse.Namespace, model: "PreTrainedModel") -> int:
    """Tokens to which the authors' procedure pads: theirs, or the positions of a model that has learnt fewer.

    Rotary positions continue beyond those of training, and padding there changes nothing.
    """
    from headpatterns.models import loading as models

    rotary = getattr(model.config.get_text_config(), "rope_parameters", None) is not None
    return arguments.padding or (LONGEST if rotary else min(LONGEST, models.positions(model) or LONGEST))


def data(arguments: argparse.Namespace) -> str:
    """A description of the samples."""
    if arguments.sweep:
        return "samples of random tokens"
    rows = "rows of GSM8K's test set" if os.environ.get("HEADPATTERNS_REAL") else "generated rows in GSM8K's form"
    return rows if has_tokenizer(arguments) else "samples of random tokens, as long as GSM8K's"


def has_tokenizer(arguments: argparse.Namespace) -> bool:
    """Whether the samples are text."""
    from headpatterns.models import loading as models

    return bool(arguments.model) and not arguments.sweep and models.has_tokenizer(arguments.model)


def made(arguments: argparse.Namespace, size: int | str, longest: int) -> "PreTrainedModel":
    """The model in a folder, or one with random weights, initialised on the device."""
    from transformers import AutoConfig

    from headpatterns.models import loading as models

    if arguments.model and not arguments.random_weights:
        return models.load_model(arguments.model, arguments.dtype, arguments.device)
    if arguments.model:
        config = AutoConfig.from_pretrained(arguments.model, local_files_only=True)
    else:
        settings = dict(common.ARCHITECTURES[arguments.architecture or SWEPT])
        settings["num_hidden_layers"] = arguments.layers or settings["num_hidden_layers"]
        settings["max_position_embeddings"] = max(longest, 2 * LONGEST)
        if arguments.sweep == "width":
            settings |= {"hidden_size": size, "num_attention_heads": size // HEAD_SIZE,
                         "intermediate_size": size * 8 // 3}  # fmt: skip
        config = AutoConfig.for_model(**settings)
    return common.random_model(config, arguments.dtype, arguments.device)


def tokenized(arguments: argparse.Namespace, model: "PreTrainedModel") -> list["TokenizedSample"]:
    """Rows of GSM8K, without rows that have no response within the model's positions."""
    from headpatterns.data import samples
    from headpatterns.models import loading as models

    rows = [{"id": row.id, "prompt": row.prompt, "response": row.response} for row in gsm8k(arguments.rows)]
    longest = min(LONGEST, models.positions(model) or LONGEST)
    tokenizer = models.load_tokenizer(arguments.model)
    found, _ = samples.tokenized(tokenizer, rows, longest, arguments.model, skip=True)
    return found


def generated_lengths(arguments: argparse.Namespace, size: int | str) -> list[tuple[int, int]]:
    """Tokens of prompt and response without a tokenizer: of a sweep, or approximately of GSM8K's test rows."""
    if arguments.sweep:
        length = size if arguments.sweep == "length" else WIDTHS_LENGTH
        return [(length // 2, length - length // 2)] * arguments.rows
    if not os.environ.get("HEADPATTERNS_REAL"):
        return common.gsm8k_lengths(arguments.rows, np.random.default_rng(0))
    parts = [(len(row.prompt), len(row.response)) for row in gsm8k(arguments.rows)]
    return [(round(prompt / CHARACTERS), round(response / CHARACTERS)) for prompt, response in parts]


def random_tokens(lengths: Sequence[tuple[int, int]], vocabulary: int) -> list["TokenizedSample"]:
    """Samples of random tokens."""
    from headpatterns.data.tokens import TokenizedSample

    generator = np.random.default_rng(0)
    return [
        TokenizedSample(
            f"sample {number}", generator.integers(3, vocabulary, prompt + response).tolist(), prompt, False
        )
        for number, (prompt, response) in enumerate(lengths)
    ]


def gsm8k(count: int) -> list["Instruction"]:
    """The first instructions of GSM8K's test set below HEADPATTERNS_REAL, or of the embedded experiment's."""
    from headpatterns.data import loading, templates
    from headpatterns.data.embedded.registry import generate

    with tempfile.TemporaryDirectory() as folder:
        if real := os.environ.get("HEADPATTERNS_REAL"):
            path = Path(real) / "realdata" / "gsm8k" / "test.jsonl"
        else:
            generate("gsm8k", Path(folder) / "gsm8k", 1, count, 0)
            path = Path(folder) / "gsm8k" / "test.jsonl"
        options = {"keep_calculator_marks": False}
        loaded = loading.load("gsm8k", "gsm8k", options, templates.resolve("question"), [path], {path: "test"})
    if len(loaded.instructions) < count:
        raise InputError(f"{path} has {len(loaded.instructions)} rows, but --rows is {count}: give fewer.")
    return loaded.instructions[:count]
