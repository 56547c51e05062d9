"""Attention computed by blocks of rows: for layers that SDPA cannot express, and for A where a reduction needs it.

For one query head, with s_ij = <q_i, k_j>·scaling, capped to c·tanh(s_ij / c) where the layer caps its scores:

    A_ij = exp(s_ij) / (exp(sink) + Σ_j exp(s_ij)),    o_i = Σ_j A_ij V_j,

where the sums are over the positions j that i may attend to; exp(sink) is present only if the layer has attention
sinks. With dO = ∂L/∂o, G = ∂L/∂A and δ_i = <o_i, dO_i>, the backward pass is that of FlashAttention, with and without
sinks:

    G_ij = <dO_i, V_j>,    ∂L/∂s_ij = A_ij (G_ij − δ_i),    δ_i = Σ_j A_ij G_ij.

A block has some rows of some pairs (sample, key/value head), with all query heads that share the key/value head. So
keys and values are never repeated for grouped queries. Everything is accumulated in float32.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from headpatterns.attribution.layer_inputs import AttentionInputs, Mask, check_keywords

CACHED_ELEMENTS = 2**18
"""Elements of a block on a CPU: 1 MiB in float32, so that a block stays in the cache of a core."""

DEVICE_ELEMENTS = 2**25
"""Elements of a block on an accelerator: 128 MiB in float32, so that a block keeps it busy."""


def attend(
    module: torch.nn.Module,
    query: Float[Tensor, "batch heads positions size"],
    key: Float[Tensor, "batch kv_heads positions size"],
    value: Float[Tensor, "batch kv_heads positions value_size"],
    attention_mask: Mask | None,
    **settings: Any,
) -> tuple[Float[Tensor, "batch positions heads value_size"], None]:
    """The attention of the layer, as an `Attention`: output [batch, positions, heads, value size].

    It is transformers' own SDPA (Flash on an accelerator), except for layers with capped scores or attention sinks.

    Raises:
        InputError: the layer passes an argument that is not known here.
    """
    if settings.get("softcap") is None and settings.get("s_aux") is None:
        check_keywords(module, settings, further=("position_bias",))
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    return attend_by_blocks(AttentionInputs.of(module, query, key, value, attention_mask, **settings)), None


def attend_by_blocks(inputs: AttentionInputs) -> Float[Tensor, "batch positions heads value_size"]:
    """o, [batch, positions, heads, value size], differentiable in query, key and value; memory is linear in T."""
    output: Tensor = _Attention.apply(  # type: ignore[no-untyped-call]  # torch gives it no types
        inputs.query, inputs.key, inputs.value, inputs
    )
    return output


def matrix(inputs: AttentionInputs) -> Float32[Tensor, "heads positions positions"]:
    """The whole matrix A of one sample, float32 [query heads, positions, positions]."""
    rows = Rows(inputs)
    _, heads, positions, _ = inputs.query.shape
    whole = rows.query.new_zeros(heads, positions, inputs.key.shape[2])
    by_pairs = whole.unflatten(0, (-1, inputs.groups))
    for block in rows.blocks():
        found = rows.probabilities(block, rows.scores(block)).unflatten(1, (inputs.groups, -1))
        by_pairs[block.pairs, :, block.rows, block.columns] = found
    return whole


@dataclass(frozen=True)
class Block:
    """Rows of A of some pairs (sample, key/value head), and the columns outside of which these rows are zero."""

    pairs: slice
    rows: slice
    columns: slice


class Rows:
    """A of a layer, computed again from its inputs, block by block.

    Tensors are kept by pairs: [batch · key/value heads, query heads of each, positions, size]. All blocks share two
    buffers, because the first access to new memory is slow. Scores are valid until `gradients` reuses their memory, and
    probabilities until the next block.
    """

    def __init__(self, inputs: AttentionInputs) -> None:
        """Keep what A depends on, in float32."""
        self.inputs = inputs
        self.query = self.by_pairs(inputs.query.detach().float() * inputs.scaling)
        self.key = inputs.key.detach().float().flatten(0, 1)
        self.value = inputs.value.detach().float().flatten(0, 1)
        elements, most = (DEVICE_ELEMENTS, 512) if self.query.device.type != "cpu" else (CACHED_ELEMENTS, 64)
        pairs, groups, positions, _ = self.query.shape
        columns = self.key.shape[1]
        # With few rows, little is computed above the diagonal. If samples are short, a block has many pairs instead.
        self.rows = min(positions, most, max(16, elements // (groups * columns)))
        self.pairs = min(pairs, max(1, elements // (groups * self.rows * columns)))
        self._buffers = self.query.new_empty(2, self.pairs * groups * self.rows * columns)

    def by_pairs(
        self, tensor: Float[Tensor, "batch heads positions size"]
    ) -> Float[Tensor, "pairs groups positions size"]:
        """[batch, query heads, positions, size] to [pairs, query heads of each, positions, size]."""
        pairs: Tensor = tensor.unflatten(1, (-1, self.inputs.groups)).flatten(0, 1)
        return pairs

    def blocks(self, gradient: Float32[Tensor, "pairs groups positions size"] | None = None) -> Iterator[Block]:
        """All blocks that are not zero; with dO by pairs, only the rows that a gradient reaches."""
        pairs, _, positions, _ = self.query.shape
        for first in range(0, pairs, self.pairs):
            chosen = slice(first, min(first + self.pairs, pairs))
            within = slice(0, positions) if gradient is None else _extent(gradient[chosen].ne(0).any(3).any(1).any(0))
            for start in range(within.start, within.stop, self.rows):
                rows = slice(start, min(start + self.rows, within.stop))
                columns = self._columns(chosen, rows)
                if columns.start < columns.stop:
                    yield Block(chosen, rows, columns)

    def scores(self, block: Block) -> Float32[Tensor, "pairs grouped_rows columns"]:
        """s of a block before the mask, capped where the layer caps: [pairs, query heads of each · rows, columns]."""
        scores = self._product(0, self.query[block.pairs, :, block.rows], self.key, block)
        cap = self.inputs.softcap
        return scores if cap is None else scores.div_(cap).tanh_().mul_(cap)

    def probabilities(
        self, block: Block, scores: Float32[Tensor, "pairs grouped_rows columns"]
    ) -> Float32[Tensor, "pairs grouped_rows columns"]:
        """A of a block from `scores`, which are masked in place; of the same shape."""
        seen = scores.unflatten(1, (self.inputs.groups, -1))  # [pairs, query heads of each, rows, columns]
        nothing = self._mask(block, seen)
        probabilities = torch.softmax(scores, dim=2, out=self._buffer(1, scores.shape))
        by_head = probabilities.view_as(seen)
        if self._sinks is not None:
            # exp(s) / (exp(sink) + Σ exp(s)) = softmax(s) · Σ exp(s) / (exp(sink) + Σ exp(s)), the last a sigmoid.
            sinks = self._sinks[block.pairs, :, None, None].float()
            by_head.mul_(torch.sigmoid(seen.logsumexp(3, keepdim=True) - sinks))
        if nothing is not None:
            by_head.masked_fill_(nothing, 0.0)
        return probabilities

    def gradients(
        self, block: Block, gradient: Float32[Tensor, "all_pairs groups positions value_size"]
    ) -> Float32[Tensor, "pairs grouped_rows columns"]:
        """G = dO·Vᵀ of a block, from dO by pairs; it has the shape of `scores` and overwrites their memory."""
        return self._product(0, gradient[block.pairs, :, block.rows], self.value, block)

    def _product(self, buffer: int, rows: torch.Tensor, columns: torch.Tensor, block: Block) -> torch.Tensor:
        rows = rows.flatten(1, 2)
        columns = columns[block.pairs, block.columns].transpose(1, 2)
        return torch.bmm(rows, columns, out=self._buffer(buffer, (*rows.shape[:2], columns.shape[2])))

    def _buffer(self, index: int, shape: tuple[int, ...]) -> torch.Tensor:
        return self._buffers[index, : math.prod(shape)].view(shape)

    def _columns(self, pairs: slice, rows: slice) -> slice:
        """The columns outside of which a block is zero, according to its mask."""
        if self.inputs.causal:
            return slice(0, min(rows.stop, self.key.shape[1]))
        mask = self.inputs.mask
        if mask is None or mask.dtype != torch.bool:
            return slice(0, self.key.shape[1])
        return _extent(self._allowed(mask, pairs, rows, slice(None)).flatten(0, -2).any(0))

    def _mask(self, block: Block, scores: torch.Tensor) -> torch.Tensor | None:
        """Mask scores [pairs, query heads of each, rows, columns] in place; rows that may attend to nothing, if any."""
        # With −∞ instead, a row that may attend to nothing would become NaN, rather than the zeros that it gets later.
        masked = torch.finfo(scores.dtype).min
        mask = self.inputs.mask
        if self.inputs.causal:
            # To the left of the block's first row, every column is allowed.
            diagonal = scores[..., block.rows.start :]
            size = diagonal.shape[2:]
            diagonal.masked_fill_(torch.ones(size, dtype=torch.bool, device=scores.device).triu(1), masked)
        elif mask is not None and mask.dtype != torch.bool:
            scores.add_(self._allowed(mask, block.pairs, block.rows, block.columns))
        elif mask is not None:
            allowed = self._allowed(mask, block.pairs, block.rows, block.columns)
            scores.masked_fill_(~allowed, masked)
            nothing = ~allowed.any(-1, keepdim=True)
            return nothing if nothing.any() else None
        return None

    def _allowed(self, mask: torch.Tensor, pairs: slice, rows: slice, columns: slice) -> torch.Tensor:
        """The mask of a block, to be broadcast to [pairs, query heads of each, rows, columns]."""
        mask = mask[..., rows, columns]
        if mask.shape[1] == 1 and (mask.shape[0] == 1 or mask.stride(0) == 0):
            return mask[:1]
        batch, heads = self.inputs.query.shape[:2]
        kv_heads = self.inputs.key.shape[1]
        by_pair: torch.Tensor = mask.expand(batch, heads, -1, -1).unflatten(1, (kv_heads, -1))
        pair = torch.arange(pairs.start, pairs.stop, device=mask.device)
        return by_pair[pair // kv_heads, pair % kv_heads]

    @cached_property
    def _sinks(self) -> torch.Tensor | None:
        """[pairs, query heads of each], None without sinks."""
        sinks = self.inputs.sinks
        return None if sinks is None else sinks.view(-1, self.inputs.groups).repeat(self.inputs.query.shape[0], 1)


def _extent(wanted: Bool[Tensor, " places"]) -> slice:
    """From the first to the last True of a vector."""
    places = wanted.nonzero()
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


class _Attention(torch.autograd.Function):
    """o = A·V and its backward pass, in which A is computed again."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, inputs: AttentionInputs
    ) -> torch.Tensor:
        rows = Rows(inputs)
        output = rows.query.new_zeros(*rows.query.shape[:3], value.shape[3])
        for block in rows.blocks():
            probabilities = rows.probabilities(block, rows.scores(block))
            product = probabilities @ rows.value[block.pairs, block.columns]
            output[block.pairs, :, block.rows] = product.unflatten(1, (inputs.groups, -1))
        batch, heads = query.shape[:2]
        output = output.view(batch, heads, *output.shape[2:]).transpose(1, 2).to(query.dtype).contiguous()
        ctx.save_for_backward(query, key, value, output)
        ctx.mask, ctx.sinks = inputs.mask, inputs.sinks
        ctx.settings = {"causal": inputs.causal, "scaling": inputs.scaling, "softcap": inputs.softcap}
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, output = ctx.saved_tensors
        inputs = AttentionInputs(query, key, value, ctx.mask, sinks=ctx.sinks, **ctx.settings)
        rows = Rows(inputs)
        gradient = gradient.transpose(1, 2).float()
        delta = rows.by_pairs((gradient * output.transpose(1, 2).float()).sum(3, keepdim=True))
        gradient = rows.by_pairs(gradient)
        query_gradient, key_gradient, value_gradient = map(torch.zeros_like, (rows.query, rows.key, rows.value))
        for block in rows.blocks(gradient):
            pairs, chosen, columns = block.pairs, block.rows, block.columns
            scores = rows.scores(block)
            # d(c·tanh(x / c)) / dx = 1 − tanh²
            slope = None if inputs.softcap is None else 1 - (scores / inputs.softcap).square()
            probabilities = rows.probabilities(block, scores)
            arriving = gradient[pairs, :, chosen].flatten(1, 2)
            value_gradient[pairs, columns] += probabilities.transpose(1, 2) @ arriving
            change = rows.gradients(block, gradient).sub_(delta[pairs, :, chosen].flatten(1, 2)).mul_(probabilities)
            if slope is not None:
                change.mul_(slope)
            product = change @ rows.key[pairs, columns]
            query_gradient[pairs, :, chosen] = product.unflatten(1, (inputs.groups, -1))
            key_gradient[pairs, columns] += change.transpose(1, 2) @ rows.query[pairs, :, chosen].flatten(1, 2)
        query_gradient *= inputs.scaling
        return (
            query_gradient.view(query.shape).to(query.dtype),
            key_gradient.view(key.shape).to(key.dtype),
            value_gradient.view(value.shape).to(value.dtype),
            None,
        )
