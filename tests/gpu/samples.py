"""Compares two samples alone and together, padded and in another order: up to rounding, patterns and losses are equal.

    python tests/gpu/samples.py --device cuda --result FILE

The model is one of benchmarks/common.py with random weights. The difference of patterns is that of the worst head,
relative to the largest pattern of its layer and sample. The difference of losses is relative to the loss.
"""

import argparse
from collections.abc import Callable
from typing import Any

import common
import numpy as np
import torch
from outcomes import Row, held, parser, write_rows
from transformers import AutoConfig

from headpatterns.attribution import REDUCTIONS, activation_patterns
from headpatterns.attribution.patterns import Patterns
from headpatterns.data import batching

PART = "samples"
TOLERANCES = {"float32": (1e-4, 1e-5), "bfloat16": (0.1, 1e-3)}
"""Tolerances of patterns and of losses. Batches of other shapes use other kernels, which round differently."""

LENGTHS, PROMPTS, PADDED = (200, 192), (80, 60), 256
"""Tokens of the samples, of their prompts, and of padded rows. The lengths are close enough for one padded batch."""

BUDGET = 4096
"""Tokens of a batch, enough for both samples."""


def main(arguments: argparse.Namespace) -> None:
    """Write the rows of the table."""
    torch.set_num_threads(1)
    assert len(list(batching.batches(LENGTHS, BUDGET))) == 1, "the samples are not taken together"
    rows = []
    for dtype in TOLERANCES:
        settings = common.ARCHITECTURES["small" if arguments.small else "medium"]
        model = common.random_model(AutoConfig.for_model(**settings), dtype, arguments.device)
        rows += compared(model, dtype, drawn(settings["vocab_size"]))
    write_rows(arguments.result, rows)


def drawn(vocabulary: int) -> list[dict[str, list[int]]]:
    """Two samples of random tokens."""
    generator = np.random.default_rng(0)
    samples = []
    for length, prompt in zip(LENGTHS, PROMPTS, strict=True):
        tokens = generator.integers(3, vocabulary, length).tolist()
        samples.append({"input_ids": tokens, "labels": [-100] * prompt + tokens[prompt:]})
    return samples


def batch(samples: list[dict[str, list[int]]], left: bool) -> dict[str, list[list[int]]]:
    """Samples as a collator pads them."""

    def row(values: list[int], fill: int) -> list[int]:
        padding = [fill] * (PADDED - len(values))
        return padding + values if left else values + padding

    return {
        "input_ids": [row(sample["input_ids"], 0) for sample in samples],
        "labels": [row(sample["labels"], -100) for sample in samples],
        "attention_mask": [row([1] * len(sample["input_ids"]), 0) for sample in samples],
    }


def compared(model: Any, dtype: str, samples: list[dict[str, list[int]]]) -> list[Row]:
    """A row for patterns and one for losses of each arrangement: the largest difference in any reduction."""
    patterns, losses = TOLERANCES[dtype]
    found: dict[str, list[tuple[float, float]]] = {}
    for reduction in REDUCTIONS:

        def take(given: Any, reduction: str = reduction) -> Patterns:
            return activation_patterns(model, given, reduction=reduction, token_budget=BUDGET)

        alone = [take([sample]) for sample in samples]
        values, expected = (np.concatenate([getattr(one, name) for one in alone]) for name in ("values", "losses"))
        for name, taken in arranged(take, samples).items():
            pattern = np.abs(taken[0] - values).max(axis=2) / np.abs(values).max(axis=2)
            loss = np.abs(taken[1] - expected) / np.abs(expected)
            found.setdefault(name, []).append((pattern.max(), loss.max()))
    rows = []
    for name, differences in found.items():
        largest = np.array(differences).max(axis=0)
        rows.append(held(PART, f"{name}, {dtype}: patterns as alone", float(largest[0]), patterns))
        rows.append(held(PART, f"{name}, {dtype}: losses as alone", float(largest[1]), losses))
    return rows


def arranged(take: Callable[[Any], Patterns], samples: list[dict[str, list[int]]]) -> dict[str, tuple[np.ndarray, ...]]:
    """Values and losses in the order of the samples, for each arrangement of the samples."""
    together, swapped = take(samples), take(samples[::-1])
    right, left = take(batch(samples, left=False)), take(batch(samples, left=True))
    return {
        "together": (together.values, together.losses),
        "in another order": (swapped.values[::-1], swapped.losses[::-1]),
        "padded right": (right.values, right.losses),
        "padded left": (left.values, left.losses),
    }


if __name__ == "__main__":
    main(parser(__doc__, "a smaller model").parse_args())
