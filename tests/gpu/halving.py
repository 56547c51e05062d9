"""Lets memory run out in a batch: extraction must continue with half of the batch, with the same patterns.

    python tests/gpu/halving.py --device cuda --result FILE

All samples are taken in one batch, and the growth of memory is measured. They are taken again when only a part of that
memory is left. On a GPU, PyTorch's allocator enforces the limit; on a CPU, Linux enforces it (RLIMIT_AS).
"""

import argparse
import ctypes
import resource
import sys
import warnings
from pathlib import Path

import common
import numpy as np
import psutil
import torch
from outcomes import FAILED, PASSED, SKIPPED, Row, held, parser, write_rows
from transformers import AutoConfig

from headpatterns.attribution import activation_patterns
from headpatterns.data.tokens import TokenizedSample

PART = "halving"
LEFT = 0.6
"""Share of the first batch's memory growth that is left for the second turn: too little for all, enough for half."""

TOLERANCES = {"patterns": 1e-4, "losses": 1e-5}
"""In float32, relative to the largest; batches of other shapes use other kernels, which round differently."""

SAMPLES, LENGTH, PROMPT = 32, 256, 64
MMAP_THRESHOLD = -3
"""The number of an option of glibc (malloc.h): blocks beyond its value return to the system when they are freed."""

TOLD = "memory ran out in a batch of"
"""The start of the warning about a batch that did not fit."""


def main(arguments: argparse.Namespace) -> None:
    """Write the rows of the table."""
    if arguments.device == "cpu" and not sys.platform.startswith("linux"):
        write_rows(arguments.result, [Row(PART, "smaller batches", SKIPPED, note="the limit is one of Linux")])
        return
    torch.set_num_threads(1)
    settings = common.ARCHITECTURES["small" if arguments.small else "medium"]
    model = common.random_model(AutoConfig.for_model(**settings), "float32", arguments.device)
    samples = drawn(SAMPLES // 2 if arguments.small else SAMPLES, settings["vocab_size"])
    budget = len(samples) * LENGTH

    activation_patterns(model, samples[:1], token_budget=budget)  # some memory of the first pass is never freed
    before = begun(arguments.device)
    free = activation_patterns(model, samples, token_budget=budget)
    growth = peak(arguments.device) - before
    confine(arguments.device, int(LEFT * growth))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tight = activation_patterns(model, samples, token_budget=budget)
    told = [str(one.message) for one in caught if str(one.message).startswith(TOLD)]
    rows = [
        Row(PART, "batches become smaller", PASSED if told else FAILED, note=told[0] if told else "no batch failed")
    ]
    for name, values in {"patterns": (tight.values, free.values), "losses": (tight.losses, free.losses)}.items():
        difference = float(np.abs(values[0] - values[1]).max() / np.abs(values[1]).max())
        rows.append(held(PART, f"{name} as with all memory", difference, TOLERANCES[name]))
    write_rows(arguments.result, rows)


def drawn(count: int, vocabulary: int) -> list[TokenizedSample]:
    """Samples of random tokens of equal length, so that they fit into one batch without padding."""
    tokens = np.random.default_rng(0).integers(3, vocabulary, (count, LENGTH)).tolist()
    return [TokenizedSample(f"sample {number}", row, PROMPT, False) for number, row in enumerate(tokens)]


def begun(device: str) -> int:
    """Reset the peak of memory; returns the bytes that are held now."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, 65536)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return int(psutil.Process().memory_info().rss)


def peak(device: str) -> int:
    """The most bytes that were held since `begun`."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * int(next(line.split()[1] for line in status if line.startswith("VmHWM")))


def confine(device: str, left: int) -> None:
    """Limit this process to `left` bytes beyond what it holds now."""
    if device == "cuda":
        torch.cuda.empty_cache()
        whole = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + left) / whole)
        return
    most = psutil.Process().memory_info().vms + left
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main(parser(__doc__, "a smaller model, half as many samples").parse_args())
