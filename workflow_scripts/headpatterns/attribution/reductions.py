"""Eq. 2 in its three readings, from values that an attention layer computes anyway.

For one sample, layer and query head: A [T, T] is the attention matrix after the softmax, G = ∂L/∂A its gradient,
V [T, D] the values, o = A·V [T, D] the head's output and dO = ∂L/∂o its gradient. Since o_i = Σ_j A_ij V_j,

    G_ij = <dO_i, V_j>     and     Σ_ij A_ij G_ij = Σ_i <o_i, dO_i>,

so two of the three need no T×T matrix, and the third needs one block of its rows at a time. All three come from one
backward pass.
"""

import functools
import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import torch
from jaxtyping import Float, Float32

from headpatterns.attribution.blockwise import Rows
from headpatterns.attribution.layer_inputs import AttentionInputs
from headpatterns.errors import first_line

HeadOutputs = Float[torch.Tensor, "batch positions heads value_size"]
"""Outputs o of the heads of a layer, or their gradients dO."""

Sums = Float32[torch.Tensor, "batch heads"]
"""One number per sample and head."""


def sums(
    reductions: Sequence[str], inputs: AttentionInputs | None, output: HeadOutputs, gradient: HeadOutputs
) -> Float32[torch.Tensor, "batch reductions heads"]:
    """The stored values of each reduction, from one backward pass: `abs_of_sum` with its sign, the others as they are.

    Args:
        reductions: names of `REDUCTIONS`, each once.
        inputs: the arguments of the layer's attention function; only `sum_of_abs` needs them, for the others they may
            be None.
        output: o, [batch, positions, heads, value size].
        gradient: dO, of the same shape.

    Returns:
        float32 [batch, reductions, heads], in the order of `reductions`.

    Raises:
        TypeError: `sum_of_abs` is requested without `inputs`.
    """
    products = output.float() * gradient.float()
    found = [
        OF_PRODUCTS[reduction](products) if reduction in OF_PRODUCTS else sum_of_abs(inputs, gradient)
        for reduction in reductions
    ]
    return torch.stack(found, dim=1)


def signed_sum(products: HeadOutputs) -> Sums:
    """`Σ_ij A_ij G_ij`, from o ⊙ dO [batch, positions, heads, value size].

    Its absolute value is `abs_of_sum`, the default, as the paper's released script computes it: |tr(AᵀG)| of Eq. 2.
    """
    return products.sum(dim=(1, 3))


def abs_per_position(products: HeadOutputs) -> Sums:
    """`Σ_i | <o_i, dO_i> |`, the head importance of Michel et al. (2019), from o ⊙ dO as `signed_sum`."""
    return products.sum(dim=3).abs().sum(dim=1)


OF_PRODUCTS = {"abs_of_sum": signed_sum, "abs_per_position": abs_per_position}
"""The reductions that need no attention matrix."""


def sums_of_matrix(
    reductions: Sequence[str],
    matrix: Float[torch.Tensor, "batch heads positions positions"],
    gradient: Float[torch.Tensor, "batch heads positions positions"],
) -> Float32[torch.Tensor, "batch reductions heads"]:
    """The result of `sums`, from A and G [batch, heads, positions, positions], for a layer that computes both."""
    products = matrix.float() * gradient.float()
    found = {
        "abs_of_sum": lambda: products.sum(dim=(2, 3)),
        "abs_per_position": lambda: products.sum(dim=3).abs().sum(dim=2),
        "sum_of_abs": lambda: products.abs().sum(dim=(2, 3)),
    }
    return torch.stack([found[reduction]() for reduction in reductions], dim=1)


def sum_of_abs(inputs: AttentionInputs | None, gradient: HeadOutputs) -> Sums:
    """`Σ_ij | A_ij G_ij |`, the other reading of the paper's text, from the inputs of the layer and dO.

    A is computed again from queries and keys, one block at a time, so that memory grows linearly with T. One fused
    kernel does this on a GPU that can run it; elsewhere it is done in PyTorch.

    Raises:
        TypeError: `inputs` is None.
    """
    if inputs is None:
        raise TypeError("sum_of_abs needs what the layer gave its attention function")
    kernel = _fused(Kind.of(inputs)) if gradient.is_cuda else None
    return kernel.sum_of_abs(inputs, gradient) if kernel else sum_of_abs_by_blocks(inputs, gradient)


def sum_of_abs_by_blocks(inputs: AttentionInputs, gradient: HeadOutputs) -> Sums:
    """`sum_of_abs` in PyTorch, on any device."""
    rows = Rows(inputs)
    gradient = rows.by_pairs(gradient.detach().transpose(1, 2).float())
    total = gradient.new_zeros(gradient.shape[:2])
    for block in rows.blocks(gradient):
        products = rows.probabilities(block, rows.scores(block))
        products.mul_(rows.gradients(block, gradient)).abs_()
        total[block.pairs] += products.unflatten(1, (inputs.groups, -1)).sum(dim=(2, 3))
    return total.view(inputs.query.shape[:2])


@dataclass(frozen=True)
class Kind:
    """The properties that determine the machine code of the fused kernel, and so whether a GPU can run it.

    Attributes:
        device: where the inputs are.
        dtype: of queries, keys and values.
        size: of a query head.
        value_size: of a value.
        mask: its dtype, or None without a mask.
        causal: as in `AttentionInputs`.
        capped: whether scores are capped.
        sinks: dtype of the attention sinks, or None without.
    """

    device: torch.device
    dtype: torch.dtype
    size: int
    value_size: int
    mask: torch.dtype | None = None
    causal: bool = True
    capped: bool = False
    sinks: torch.dtype | None = None

    @classmethod
    def of(cls, inputs: AttentionInputs) -> "Kind":
        """The kind of a layer's inputs."""
        query, mask, sinks = inputs.query, inputs.mask, inputs.sinks
        return cls(
            query.device,
            query.dtype,
            query.shape[3],
            inputs.value.shape[3],
            None if mask is None else mask.dtype,
            inputs.causal,
            inputs.softcap is not None,
            None if sinks is None else sinks.dtype,
        )

    def example(self) -> tuple[AttentionInputs, HeadOutputs]:
        """Small inputs of this kind, with aligned strides, and dO."""
        positions, heads = 64, 2

        def numbers(size: int) -> torch.Tensor:
            count = torch.arange(positions * heads * size, dtype=torch.float32, device=self.device)
            return count.sin().view(1, heads, positions, size).to(self.dtype)

        query, value = numbers(self.size), numbers(self.value_size)
        mask = sinks = None
        if self.mask:
            mask = torch.ones(1, 1, positions, positions, dtype=self.mask, device=self.device).tril()
        if self.sinks:
            sinks = torch.zeros(heads, dtype=self.sinks, device=self.device)
        softcap = 2.0 if self.capped else None
        inputs = AttentionInputs(query, query.flip(2), value, mask, self.causal, self.size**-0.5, softcap, sinks)
        return inputs, value.flip(2).transpose(1, 2)


@functools.cache
def _fused(kind: Kind) -> ModuleType | None:
    """The module of the fused kernel, if Triton is installed (CUDA builds of PyTorch include it) and correct.

    It is tried on a small input of the same kind first. It may fail on a machine without a C compiler or Python's
    headers, and on a GPU that Triton does not support or with too little shared memory for these heads. This costs time
    and a warning, but the patterns are still computed.
    """
    if importlib.util.find_spec("triton") is None:
        return None
    inputs, gradient = kind.example()
    try:
        from headpatterns.attribution import fused

        if not fused.takes(inputs):
            return None
        found = fused.sum_of_abs(inputs, gradient)
        torch.testing.assert_close(found, sum_of_abs_by_blocks(inputs, gradient), rtol=1e-3, atol=1e-3)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # compilers, drivers and Triton raise many types
        warnings.warn(
            f"the Triton kernel cannot be used here ({first_line(error)}): sum_of_abs uses PyTorch instead, "
            "which takes longer.",
            stacklevel=2,
        )
        return None
    return fused
