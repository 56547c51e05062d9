"""Measure seconds and peak memory of LESS's gradient features and of activation patterns (Eq. 5) on the same samples.

    python benchmarks/less.py [--model DIR] [--samples 16] [--length 256] [--dimension 8192] [--output NAME]

Samples are random tokens of one length, with the last quarter as the response. Patterns and gradients take turns in one
process, and the best turn counts. `ratio` compares both for `--candidates` samples and `--checkpoints` checkpoints of
the warm-up. Gradients are projected one full buffer at a time, so the projection is measured on one buffer. Peak memory
is that of a separate process.
"""

import argparse
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import common
import numpy as np
from alone import in_a_process

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from headpatterns.attribution.inputs import LabelledSample
    from headpatterns.training.recipe import Recipe

COLUMNS = (
    "weights", "dimension", "pattern_seconds", "gradient_seconds", "projection_seconds", "buffer_samples",
    "candidates", "checkpoints", "ratio", "peak_gib", "bytes_a_candidate",
)  # fmt: skip
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]
"""Modules of a Llama that have adapters in the published method."""


def main(arguments: argparse.Namespace) -> None:
    """Measure, and print the table."""
    row = {**in_a_process(None, speeds, arguments), **in_a_process(None, memory, arguments)}
    rows = [{column: row.get(column, "") for column in COLUMNS}]
    text = common.markdown(COLUMNS, rows)
    print(text)
    if arguments.output:
        common.write_table(arguments.output, COLUMNS, rows, text)


def speeds(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds per sample for patterns and gradients, seconds to project a full buffer, and the ratio for a pool."""
    import torch

    from headpatterns.attribution import activation_patterns, less, passes
    from headpatterns.attribution.random_projection import project
    from headpatterns.attribution.sample_gradients import PerSample
    from headpatterns.models import projection
    from headpatterns.training import adapters

    samples = generated(arguments)
    plain, model = made(arguments), made(arguments)
    own = adapters.put_in(model, recipe(arguments)).get_base_model()
    watched = PerSample({name: module for name, module in own.named_modules() if less.is_factor(name, module)})
    head = projection.head_of(own)
    checkpoint = less.warm_up(own, head, watched, samples[:2], recipe(arguments))[-1]
    patterns, gradients = [], []
    for _ in range(arguments.repeats):
        started = time.perf_counter()
        activation_patterns(plain, samples, token_budget=arguments.token_budget)
        patterns.append((time.perf_counter() - started) / len(samples))
        started = time.perf_counter()
        with passes.frozen(own), watched.watching():
            for start in range(0, len(samples), less.TOKENS // arguments.length):
                batch = samples[start : start + less.TOKENS // arguments.length]
                less.adam(watched.of(own, head, batch), checkpoint)
        gradients.append((time.perf_counter() - started) / len(samples))
    rows = math.ceil(less.BUFFER_BYTES / (4 * watched.size))
    buffer = torch.randn(rows, watched.size)
    started = time.perf_counter()
    project([buffer], arguments.dimension, 0)
    projecting = time.perf_counter() - started
    count = arguments.candidates
    taken = count * min(gradients) + math.ceil(count / rows) * projecting
    return {
        "weights": watched.size,
        "dimension": arguments.dimension,
        "pattern_seconds": min(patterns),
        "gradient_seconds": min(gradients),
        "projection_seconds": projecting,
        "buffer_samples": rows,
        "candidates": count,
        "checkpoints": arguments.checkpoints,
        "ratio": arguments.checkpoints * taken / (count * min(patterns)),
        "bytes_a_candidate": 4 * arguments.checkpoints * arguments.dimension,
    }


def memory(arguments: argparse.Namespace) -> dict[str, Any]:
    """The peak memory of warm-up and features."""
    import torch

    from headpatterns.attribution import less

    samples = generated(arguments)
    less.features(made(arguments), samples, {"probe": samples}, {}, recipe(arguments), arguments.dimension)
    return {"peak_gib": common.peak_gib(torch.device("cpu"))}


def generated(arguments: argparse.Namespace) -> "list[LabelledSample]":
    """Samples of random tokens, the last quarter of each a response."""
    from headpatterns.attribution.inputs import LabelledSample

    tokens = np.random.default_rng(0).integers(3, 1000, (arguments.samples, arguments.length)).tolist()
    prompt = 3 * arguments.length // 4
    return [LabelledSample(str(n), one, [-100] * prompt + one[prompt:]) for n, one in enumerate(tokens)]


def made(arguments: argparse.Namespace) -> "PreTrainedModel":
    """The model in a folder, or one of the architecture with random weights."""
    import torch
    from transformers import AutoConfig

    from headpatterns.models import loading as models

    torch.set_num_threads(arguments.threads)
    if arguments.model:
        return models.load_model(arguments.model, "float32", "cpu")
    return common.random_model(AutoConfig.for_model(**common.ARCHITECTURES["smollm2-135m"]), "float32", "cpu")


def recipe(arguments: argparse.Namespace) -> "Recipe":
    """A warm-up with one step per epoch."""
    from headpatterns.training.recipe import Lora, Recipe

    return Recipe(
        learning_rate=1e-4,
        epochs=1,
        per_device_batch_size=len(TARGETS),
        global_batch_size=len(TARGETS),
        lora=Lora(rank=arguments.rank, target_modules="all-linear" if arguments.all_linear else tuple(TARGETS)),
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--model", type=Path, help="folder of a model (random weights of SmolLM2-135M's shape)")
    made.add_argument("--samples", type=int, default=16, help="samples that are measured (16)")
    made.add_argument("--length", type=int, default=256, help="tokens of each sample (256)")
    made.add_argument("--candidates", type=int, default=1000, help="samples of the pool that `ratio` is for (1000)")
    made.add_argument("--checkpoints", type=int, default=3, help="checkpoints of the warm-up (3)")
    made.add_argument("--dimension", type=int, default=8192, help="dimension of the projection (8192)")
    made.add_argument("--rank", type=int, default=8, help="rank of the adapters (8)")
    made.add_argument("--all-linear", action="store_true", help="adapters on all linear modules, not attention alone")
    made.add_argument("--token-budget", type=int, default=8192, help="tokens of a batch of patterns (8192)")
    made.add_argument("--repeats", type=int, default=2, help="measured turns of each procedure (2)")
    made.add_argument("--threads", type=int, default=2, help="processor threads (2)")
    made.add_argument("--output", type=Path, help="name of the table, which is written as NAME.csv and NAME.md")
    return made


if __name__ == "__main__":
    main(parser().parse_args())
