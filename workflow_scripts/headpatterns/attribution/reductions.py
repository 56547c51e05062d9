"""Eq. 2 in its three readings, from what an attention layer computes anyway.

For one sample, layer and query head: A [T, T] is the attention matrix after the softmax, G = ∂L/∂A its gradient,
V [T, D] the values, o = A·V [T, D] the head's output and dO = ∂L/∂o its gradient. Since o_i = Σ_j A_ij V_j,

    G_ij = <dO_i, V_j>     and     Σ_ij A_ij G_ij = Σ_i <o_i, dO_i>,

so two of the three need no T×T matrix, and the third only ever a block of its rows.
"""

import math
from collections.abc import Callable

import torch

BLOCK_ELEMENTS = 2**24
"""Attention probabilities held at once by `sum_of_abs`, over the whole batch (64 MiB in float32)."""


def abs_of_sum(output: torch.Tensor, gradient: torch.Tensor, recompute: "Recompute") -> torch.Tensor:
    """`| Σ_ij A_ij G_ij |`, the default: what the paper's released script computes, |tr(AᵀG)| of Eq. 2.

    Args:
        output: o, [batch, positions, heads, head size].
        gradient: dO, of the same shape.
        recompute: unused.

    Returns:
        float32 [batch, heads].
    """
    return (output.float() * gradient.float()).sum(dim=(1, 3)).abs()


def abs_per_position(output: torch.Tensor, gradient: torch.Tensor, recompute: "Recompute") -> torch.Tensor:
    """`Σ_i | <o_i, dO_i> |`, the head importance of Michel et al. (2019). Shapes as in `abs_of_sum`."""
    return (output.float() * gradient.float()).sum(dim=3).abs().sum(dim=1)


def sum_of_abs(output: torch.Tensor, gradient: torch.Tensor, recompute: "Recompute") -> torch.Tensor:
    """`Σ_ij | A_ij G_ij |`, the other reading of the paper's text. Shapes as in `abs_of_sum`.

    A is computed again from queries and keys, a block of rows at a time, so that memory grows linearly with T.
    """
    batch, positions, heads, _ = output.shape
    rows = max(1, BLOCK_ELEMENTS // (batch * heads * positions))
    total = torch.zeros(batch, heads, device=output.device)
    for start in range(0, positions, rows):
        probabilities, values = recompute(start, min(start + rows, positions))
        block = gradient[:, start : start + rows].transpose(1, 2).float()
        total += (probabilities * (block @ values.transpose(2, 3))).abs().sum(dim=(2, 3))
    return total


class Recompute:
    """Rows of a layer's attention matrix, computed again from what its attention function was given."""

    def __init__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float | None,
    ) -> None:
        """Keep query [B, H, T, D], key and value [B, H_kv, T, D] and the mask as SDPA takes it (None is causal)."""
        groups = query.shape[1] // key.shape[1]
        self.query = query.detach().float()
        self.key = key.detach().float().repeat_interleave(groups, dim=1)
        self.value = value.detach().float().repeat_interleave(groups, dim=1)
        self.mask = mask
        self.scaling = 1 / math.sqrt(query.shape[-1]) if scaling is None else scaling

    def __call__(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows `start` to `stop` of A, float32 [B, H, stop − start, T], and the values, float32 [B, H, T, D]."""
        scores = (self.query[:, :, start:stop] * self.scaling) @ self.key.transpose(2, 3)
        # Not −∞: a padded position whose whole window is masked would become NaN; its gradient is zero anyway.
        masked = torch.finfo(scores.dtype).min
        if self.mask is None:
            rows = torch.arange(start, stop, device=scores.device)[:, None]
            allowed = torch.arange(scores.shape[-1], device=scores.device)[None, :] <= rows
            scores = scores.masked_fill(~allowed, masked)
        elif self.mask.dtype == torch.bool:
            scores = scores.masked_fill(~self.mask[:, :, start:stop], masked)
        else:
            scores = scores + self.mask[:, :, start:stop].float()
        return scores.softmax(dim=-1), self.value


REDUCTIONS: dict[str, Callable[[torch.Tensor, torch.Tensor, Recompute], torch.Tensor]] = {
    "abs_of_sum": abs_of_sum,
    "sum_of_abs": sum_of_abs,
    "abs_per_position": abs_per_position,
}
