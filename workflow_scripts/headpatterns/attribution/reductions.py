"""Eq. 2 in its three readings, from what an attention layer computes anyway.

For one sample, layer and query head: A [T, T] is the attention matrix after the softmax, G = ∂L/∂A its gradient,
V [T, D] the values, o = A·V [T, D] the head's output and dO = ∂L/∂o its gradient. Since o_i = Σ_j A_ij V_j,

    G_ij = <dO_i, V_j>     and     Σ_ij A_ij G_ij = Σ_i <o_i, dO_i>,

so two of the three need no T×T matrix, and the third only ever a block of its rows.
"""

import functools
import importlib.util
import warnings
from collections.abc import Callable
from types import ModuleType

import torch

from headpatterns.attribution.blockwise import AttentionInputs, Rows
from headpatterns.errors import first_line


def abs_of_sum(inputs: AttentionInputs | None, output: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """`| Σ_ij A_ij G_ij |`, the default: what the paper's released script computes, |tr(AᵀG)| of Eq. 2.

    Args:
        inputs: unused; None will do.
        output: o, [batch, positions, heads, value size].
        gradient: dO, of the same shape.

    Returns:
        float32 [batch, heads].
    """
    return (output.float() * gradient.float()).sum(dim=(1, 3)).abs()


def abs_per_position(inputs: AttentionInputs | None, output: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """`Σ_i | <o_i, dO_i> |`, the head importance of Michel et al. (2019). Shapes as in `abs_of_sum`."""
    return (output.float() * gradient.float()).sum(dim=3).abs().sum(dim=1)


def sum_of_abs(inputs: AttentionInputs, output: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """`Σ_ij | A_ij G_ij |`, the other reading of the paper's text. Shapes as in `abs_of_sum`; o is unused.

    A is computed again from queries and keys, a block at a time, so that memory grows linearly with T: by one fused
    kernel on a GPU that can run it, in PyTorch elsewhere.
    """
    kernel = _fused(gradient.device) if gradient.is_cuda else None
    if kernel and kernel.takes(inputs):
        return kernel.sum_of_abs(inputs, gradient)
    return sum_of_abs_by_blocks(inputs, gradient)


def sum_of_abs_by_blocks(inputs: AttentionInputs, gradient: torch.Tensor) -> torch.Tensor:
    """`sum_of_abs` in PyTorch, on any device."""
    rows = Rows(inputs)
    gradient = rows.by_pairs(gradient.detach().transpose(1, 2).float())
    total = gradient.new_zeros(gradient.shape[:2])
    for block in rows.blocks(gradient):
        products = rows.probabilities(block, rows.scores(block))
        products.mul_(rows.gradients(block, gradient)).abs_()
        total[block.pairs] += products.unflatten(1, (inputs.groups, -1)).sum(dim=(2, 3))
    return total.view(inputs.query.shape[:2])


@functools.cache
def _fused(device: torch.device) -> ModuleType | None:
    """The module of the fused kernel where Triton is installed (CUDA builds of PyTorch bring it) and gets it right.

    It is tried on a small input first, so that a machine without a C compiler or Python's headers, or a GPU that Triton
    does not know, costs time and a warning rather than the patterns.
    """
    if importlib.util.find_spec("triton") is None:
        return None
    numbers = torch.arange(4 * 40 * 2 * 16, dtype=torch.float32, device=device).sin().view(4, 1, 2, 40, 16)
    query, key, value, gradient = numbers
    inputs = AttentionInputs(query, key, value, mask=None, causal=True, scaling=1.0)
    gradient = gradient.transpose(1, 2)
    try:
        from headpatterns.attribution import fused

        found = fused.sum_of_abs(inputs, gradient)
        torch.testing.assert_close(found, sum_of_abs_by_blocks(inputs, gradient), rtol=1e-3, atol=1e-3)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # compilers, drivers and Triton raise many types
        warnings.warn(
            f"Triton's kernel cannot be used here ({first_line(error)}): sum_of_abs takes longer, in PyTorch.",
            stacklevel=2,
        )
        return None
    return fused


Reduction = Callable[[AttentionInputs, torch.Tensor, torch.Tensor], torch.Tensor]

REDUCTIONS: dict[str, Reduction] = {
    "abs_of_sum": abs_of_sum,
    "sum_of_abs": sum_of_abs,
    "abs_per_position": abs_per_position,
}
