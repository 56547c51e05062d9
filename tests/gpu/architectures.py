"""Compares patterns and losses of more than ten architectures with eager attention, one sample at a time.

    python tests/gpu/architectures.py --device cuda --result FILE

The models are those of tests/support/tiny_models.py with heads of 64 channels, a size that GPU kernels support. The
reference is eager attention in float32 with `retain_grad` on its matrices, after the weights were rounded to the tested
dtype. In bfloat16, eager attention has errors of its own, and ours are compared with them.
"""

import argparse

import numpy as np
import procedures
import torch
from outcomes import FAILED, Row, held, parser, write_rows
from tiny_models import ARCHITECTURES, FURTHER, build
from transformers import PreTrainedModel

from headpatterns.attribution import REDUCTIONS, activation_patterns, passes
from headpatterns.data.tokens import TokenizedSample
from headpatterns.errors import first_line

PART = "architectures"
NAMES = (*ARCHITECTURES, "qwen2", "phi3", "gemma3-mixed-windows")
SMALL = ("llama-grouped-query", "gpt2", "gemma2-soft-capping")

WIDER = {"hidden_size": 384, "n_embd": 384, "word_embed_proj_dim": 384, "head_dim": 64, "num_experts_per_tok": 2}
"""Sizes for heads of 64 channels. Tokens go through all experts, because otherwise rounding would choose one."""

NARROWED = 0.25
"""Factor of all matrices that keeps attention scores as large as those of the narrow models."""

LENGTHS = ((20, 12), (8, 36), (44, 4), (16, 16))
"""Tokens of prompts and responses, which together fit into the models' 64 positions."""

TOLERANCE = 1e-4
"""In float32: tolerance of patterns, relative to the largest of a layer and sample, and of losses."""

TIMES, FLOOR = 3.0, 0.01
"""In bfloat16: our error may be this many times eager attention's own error, and it may always reach the floor."""


def main(arguments: argparse.Namespace) -> None:
    """Write the rows of the table."""
    torch.set_num_threads(1)
    rows = []
    for name in SMALL if arguments.small else NAMES:
        for dtype in (torch.float32, torch.bfloat16):
            rows += compared(name, dtype, arguments.device)
    write_rows(arguments.result, rows)


def compared(name: str, dtype: torch.dtype, device: str) -> list[Row]:
    """A row for the patterns of the worst reduction and a row for losses; or one row that says what failed."""
    what = f"{name}, {str(dtype).removeprefix('torch.')}"
    samples = drawn()
    try:
        model = made(name).to(device=device, dtype=dtype)
        found = activation_patterns(model, samples, reduction=REDUCTIONS[0], also=REDUCTIONS[1:])
        own, own_losses = textbook(model, samples)
        exact, losses = textbook(model.float(), samples)
    except Exception as error:  # an error in one architecture does not stop the others
        return [Row(PART, what, FAILED, note=first_line(error))]
    patterns, ours, limits = {}, error_of(found.losses, losses), (TOLERANCE, TOLERANCE)
    for reduction in REDUCTIONS:
        patterns[reduction] = worst(found.by(reduction), exact[reduction]), worst(own[reduction], exact[reduction])
    reduction = max(patterns, key=lambda one: patterns[one][0])
    if dtype != torch.float32:
        limits = (max(FLOOR, TIMES * patterns[reduction][1]), max(FLOOR, TIMES * error_of(own_losses, losses)))
    return [
        held(PART, f"{what}: patterns", patterns[reduction][0], limits[0], note=reduction),
        held(PART, f"{what}: losses", ours, limits[1]),
    ]


def made(name: str) -> PreTrainedModel:
    """A random model with heads of 64 channels."""
    settings = (ARCHITECTURES | FURTHER)[name]
    model = build(name, **{key: size for key, size in WIDER.items() if key in settings})
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(NARROWED)
    return model


def drawn() -> list[TokenizedSample]:
    """Samples of random tokens."""
    generator = np.random.default_rng(0)
    return [
        TokenizedSample(f"sample {number}", generator.integers(3, 50, prompt + response).tolist(), prompt, False)
        for number, (prompt, response) in enumerate(LENGTHS)
    ]


def textbook(model: PreTrainedModel, samples: list[TokenizedSample]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Patterns [samples, layers, heads] of each reduction, and losses [samples], by eager attention."""
    patterns, before = procedures.reference(model, samples), model.config._attn_implementation
    model.set_attn_implementation("eager")
    losses = []
    with torch.no_grad():
        for sample in samples:
            input_ids, _, labels = passes.pad([sample], model.device)
            losses.append(model(input_ids=input_ids, labels=labels, use_cache=False).loss.item())
    model.set_attn_implementation(before)
    return patterns, np.array(losses)


def worst(found: np.ndarray, exact: np.ndarray) -> float:
    """The largest difference of any head, relative to the largest pattern of its layer and sample."""
    return float((np.abs(found - exact).max(axis=2) / np.abs(exact).max(axis=2)).max())


def error_of(found: np.ndarray, exact: np.ndarray) -> float:
    """The largest relative difference of losses."""
    return float((np.abs(found - exact) / exact).max())


if __name__ == "__main__":
    main(parser(__doc__, "three architectures").parse_args())
