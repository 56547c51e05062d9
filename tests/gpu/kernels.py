"""Compares the fused kernel of `sum_of_abs` with the block-wise path and eager attention, and times the first two.

It also measures the operations per second of bfloat16 matrix products, with which the benchmarks can be compared.

    python tests/gpu/kernels.py --device cuda --result FILE

Without a GPU, Triton interprets the kernel if TRITON_INTERPRET=1 is in the environment; it does not know bfloat16.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any

import common
import kernel_cases
import torch
from outcomes import MEASURED, PRODUCTS, SHARE, SKIPPED, Row, held, parser, write_rows

from headpatterns.attribution.layer_inputs import AttentionInputs
from headpatterns.attribution.reductions import sum_of_abs_by_blocks

PART = "kernels"
TOLERANCE = 1e-5
"""Relative tolerance of a head's sum in every dtype: all paths compute at least in float32 from the same inputs."""

LAYER = {"positions": 2048, "heads": 32, "key_heads": 8, "size": 64, "scaling": 0.125}
"""The layer that is timed, with two samples."""

TURNS = 10
BATCHED = 10
"""Matrix products in each turn."""


def main(arguments: argparse.Namespace) -> None:
    """Write the rows of the table."""
    device = arguments.device
    rows = products(device, 512 if arguments.small else 8192)
    if importlib.util.find_spec("triton") is None:
        write_rows(arguments.result, [*rows, Row(PART, "the fused kernel", SKIPPED, note="Triton is not installed")])
        return
    half = torch.bfloat16 if device == "cuda" else torch.float16
    cases = kernel_cases.HALVED if arguments.small else tuple(kernel_cases.CASES)
    rows += compared(device, torch.float32, cases) + compared(device, half, kernel_cases.HALVED)
    expected = {name: [[True, True], [True, False]] for name in kernel_cases.BROKEN}
    wrong = [name for name, found in kernel_cases.finite(device).items() if found != expected[name]]
    rows.append(held(PART, "what is not finite stays so, in its head alone", len(wrong), 0, "cases", ", ".join(wrong)))
    for dtype in (torch.float32, half):
        rows += timed(
            device, dtype, {**LAYER, "positions": 64, "heads": 2, "key_heads": 1} if arguments.small else LAYER
        )
    write_rows(arguments.result, rows)


def products(device: str, size: int) -> list[Row]:
    """Operations per second of square matrix products, and their share of the data sheet's peak, if it is known."""
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    reached = 2 * size**3 * BATCHED / (milliseconds(multiplied, left, right) / 1000)
    rows = [Row(PART, PRODUCTS, MEASURED, reached / 1e12, unit="TFLOP/s", note=f"{size} rows and columns")]
    if stated := common.bf16_peak(torch.device(device)):
        rows.append(Row(PART, f"{PRODUCTS}: bf16 share", MEASURED, reached / stated, unit=SHARE))
    return rows


def multiplied(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Compute several products, so that the start of each is hidden; returns the last product."""
    for _ in range(BATCHED):
        product = left @ right
    return product


def compared(device: str, dtype: torch.dtype, cases: tuple[str, ...]) -> list[Row]:
    """For each pair of paths, the largest relative difference of any head in the cases, with its case."""
    from headpatterns.attribution import fused

    worst: dict[str, tuple[float, str]] = {}
    for name in cases:
        inputs, gradient = kernel_cases.make(**kernel_cases.CASES[name], dtype=dtype, device=device)
        kernel, blocks, exact = (path(inputs, gradient) for path in (fused.sum_of_abs, sum_of_abs_by_blocks, eager))
        pairs = {"fused and block-wise": (kernel, blocks), "fused and eager": (kernel, exact),
                 "block-wise and eager": (blocks, exact)}  # fmt: skip
        for pair, (found, right) in pairs.items():
            difference = (found.double() - right.double()).abs() / right.double().clamp(min=1e-6)
            value = float("nan") if difference.isnan().any() else difference.max().item()
            # The first NaN is kept.
            if pair not in worst or not value <= worst[pair][0]:
                worst[pair] = (value, name)
    return [
        held(PART, f"{pair}, {str(dtype).removeprefix('torch.')}, {len(cases)} cases", value, TOLERANCE, note=name)
        for pair, (value, name) in worst.items()
    ]


def eager(inputs: AttentionInputs, gradient: torch.Tensor) -> torch.Tensor:
    """Σ_ij |A_ij G_ij| with both matrices in memory, in float64: [batch, heads]."""
    values = inputs.value.double().repeat_interleave(inputs.groups, 1)
    gradients = gradient.transpose(1, 2).double() @ values.transpose(2, 3)
    return (kernel_cases.attention_matrix(inputs) * gradients).abs().sum((2, 3))


def timed(device: str, dtype: torch.dtype, layer: dict[str, float]) -> list[Row]:
    """Median milliseconds of the fused kernel and of the block-wise path on one layer."""
    from headpatterns.attribution import fused

    inputs, gradient = kernel_cases.make(**layer, dtype=dtype, device=device)
    where = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in layer.items() if name != "scaling")
    name = str(dtype).removeprefix("torch.")
    return [
        Row(PART, f"{path}, {name}", MEASURED, milliseconds(function, inputs, gradient), unit="ms", note=where)
        for path, function in {"fused": fused.sum_of_abs, "block-wise": sum_of_abs_by_blocks}.items()
    ]


def milliseconds(function: Callable[..., torch.Tensor], inputs: Any, last: torch.Tensor) -> float:
    """The median of a few calls after the first; each includes the work that it has started on a GPU."""
    turns = []
    for _ in range(1 + (TURNS if last.is_cuda else 1)):
        started = time.perf_counter()
        function(inputs, last).sum().item()
        turns.append(1000 * (time.perf_counter() - started))
    return statistics.median(turns[1:])


if __name__ == "__main__":
    main(parser(__doc__, "a few cases, a small layer").parse_args())
