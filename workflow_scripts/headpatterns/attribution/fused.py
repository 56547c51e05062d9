"""`sum_of_abs` as one Triton kernel: Σ_ij |A_ij G_ij| of every query head, with no block of A in memory.

One program has a block of rows of one query head and reads the columns that they may attend to once. As in
FlashAttention's forward pass, the largest score m_i of a row is known only at the end. So the sums are rescaled
whenever it grows. Because A_ij >= 0, two running sums are enough:

    Σ_j |A_ij G_ij| = (Σ_j exp(s_ij − m_i) |<dO_i, V_j>|) / (exp(sink − m_i) + Σ_j exp(s_ij − m_i)).

Each program writes its own sum, and the sums are added afterwards. So the same input gives the same bytes, unlike with
atomic additions. Products are accumulated in float32; for float32 inputs TF32 is off.

Importing this module needs triton, which CUDA builds of PyTorch include.
"""

import torch
import triton
import triton.language as tl

from headpatterns.attribution.layer_inputs import AttentionInputs

LONGEST_ROW = 512
"""Bytes of the longest query or value that the kernel takes: two blocks of them must fit into shared memory."""

STAGES = 2
"""Blocks of columns that are loaded at the same time (pipeline stages)."""


def takes(inputs: AttentionInputs) -> bool:
    """Whether the kernel can compute these inputs: their heads are not too large, their mask is boolean or none."""
    longest = max(inputs.query.shape[3], inputs.value.shape[3])
    boolean = inputs.mask is None or inputs.mask.dtype == torch.bool
    return boolean and triton.next_power_of_2(longest) * inputs.query.element_size() <= LONGEST_ROW


def block_shape(row_bytes: int) -> tuple[int, int]:
    """Rows and columns of a block for queries of so many bytes: it takes less than 99 KiB, which common GPUs have."""
    if row_bytes <= 128:
        return 128, 64
    return (64, 64) if row_bytes <= 256 else (32, 32)


def warps(rows: int) -> int:
    """Warps for a block of so many rows."""
    return 8 if rows >= 128 else 4


def sum_of_abs(inputs: AttentionInputs, gradient: torch.Tensor) -> torch.Tensor:
    """`Σ_ij | A_ij G_ij |` from dO [batch, positions, query heads, value size]; float32 [batch, query heads]."""
    query, key, value, mask, sinks = inputs.query, inputs.key, inputs.value, inputs.mask, inputs.sinks
    batch, heads, positions, size = query.shape
    value_size = value.shape[3]
    rows, columns = block_shape(triton.next_power_of_2(max(size, value_size)) * query.element_size())
    blocks = triton.cdiv(positions, rows)
    if mask is not None:
        mask = mask.expand(batch, heads, -1, -1)
    first, last = _extents(inputs, rows, blocks)
    total = torch.empty(batch, heads, blocks, dtype=torch.float32, device=query.device)
    with torch.cuda.device_of(query):
        _sum_of_abs[(blocks, batch * heads)](
            query,
            key,
            value,
            gradient,
            mask,
            sinks,
            first,
            last,
            total,
            *query.stride(),
            *key.stride(),
            *value.stride(),
            *gradient.stride(),
            *((0, 0, 0, 0) if mask is None else mask.stride()),
            *first.stride()[:2],
            heads,
            inputs.groups,
            positions,
            inputs.scaling,
            inputs.softcap or 0.0,
            SIZE=size,
            VALUE_SIZE=value_size,
            # A product of blocks needs a size of at least 16 in every dimension.
            PADDED_SIZE=max(16, triton.next_power_of_2(size)),
            PADDED_VALUE_SIZE=max(16, triton.next_power_of_2(value_size)),
            ROWS=rows,
            COLUMNS=columns,
            CAUSAL=inputs.causal,
            MASKED=mask is not None,
            CAPPED=inputs.softcap is not None,
            SINKS=sinks is not None,
            num_warps=warps(rows),
            num_stages=STAGES,
        )
    return total.sum(2)


def _extents(inputs: AttentionInputs, rows: int, blocks: int) -> tuple[torch.Tensor, torch.Tensor]:
    """First column, and one past the last, that the rows of a block may attend to: int32 [batch, heads, blocks]."""
    batch, heads, positions, _ = inputs.query.shape
    columns, device = inputs.key.shape[2], inputs.query.device
    if inputs.mask is None:
        last = torch.full((blocks,), columns, dtype=torch.int32, device=device)
        if inputs.causal:
            last = torch.arange(1, blocks + 1, dtype=torch.int32, device=device).mul_(rows).clamp_(max=columns)
        first = torch.zeros_like(last)
    else:
        # A mask that samples or heads share is read once.
        mask = inputs.mask[:1] if inputs.mask.stride(0) == 0 else inputs.mask
        padded = torch.nn.functional.pad(mask, (0, 0, 0, blocks * rows - positions))
        allowed = padded.unflatten(2, (blocks, rows)).any(3).int()  # [1 or batch, 1 or heads, blocks, columns]
        seen = allowed.amax(3)
        first = allowed.argmax(3).int()
        last = (columns - allowed.flip(3).argmax(3).int()) * seen
    return first.expand(batch, heads, -1), last.expand(batch, heads, -1)


@triton.jit  # type: ignore[untyped-decorator]  # Triton has no types
def _elements(
    start: tl.tensor, rows: tl.tensor, row: tl.tensor, columns: tl.tensor, column: tl.tensor, wanted: tl.tensor
) -> tl.tensor:
    """The wanted elements of a matrix that starts at `start`, zero elsewhere; `row` and `column` are its strides."""
    return tl.load(start + rows * row + columns * column, mask=wanted, other=0.0)


@triton.jit  # type: ignore[untyped-decorator]  # Triton has no types
def _allowed(
    rows: tl.tensor,
    columns: tl.tensor,
    positions: tl.tensor,
    end: tl.tensor,
    mask: tl.tensor,
    mask_row: tl.tensor,
    mask_column: tl.tensor,
    CAUSAL: tl.constexpr,
    MASKED: tl.constexpr,
) -> tl.tensor:
    """Which rows may attend to which columns, [rows, columns]; `mask` is the mask of one sample and head."""
    allowed = (columns < end)[None, :] & (rows < positions)[:, None]
    if CAUSAL:
        allowed = allowed & (columns[None, :] <= rows[:, None])
    if MASKED:
        wide, wide_columns = rows.to(tl.int64), columns.to(tl.int64)
        start = mask + wide[:, None] * mask_row + wide_columns[None, :] * mask_column
        allowed = allowed & tl.load(start, mask=allowed, other=0).to(tl.int1)
    return allowed


@triton.jit  # type: ignore[untyped-decorator]  # Triton has no types
def _sum_of_abs(
    query: tl.tensor,
    key: tl.tensor,
    value: tl.tensor,
    gradient: tl.tensor,
    mask: tl.tensor,
    sinks: tl.tensor,
    first: tl.tensor,
    last: tl.tensor,
    total: tl.tensor,
    query_batch: tl.tensor,
    query_head: tl.tensor,
    query_row: tl.tensor,
    query_size: tl.tensor,
    key_batch: tl.tensor,
    key_head: tl.tensor,
    key_row: tl.tensor,
    key_size: tl.tensor,
    value_batch: tl.tensor,
    value_head: tl.tensor,
    value_row: tl.tensor,
    value_size: tl.tensor,
    gradient_batch: tl.tensor,
    gradient_row: tl.tensor,
    gradient_head: tl.tensor,
    gradient_size: tl.tensor,
    mask_batch: tl.tensor,
    mask_head: tl.tensor,
    mask_row: tl.tensor,
    mask_column: tl.tensor,
    extent_batch: tl.tensor,
    extent_head: tl.tensor,
    heads: tl.tensor,
    groups: tl.tensor,
    positions: tl.tensor,
    scaling: tl.tensor,
    softcap: tl.tensor,
    SIZE: tl.constexpr,
    VALUE_SIZE: tl.constexpr,
    PADDED_SIZE: tl.constexpr,
    PADDED_VALUE_SIZE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    CAUSAL: tl.constexpr,
    MASKED: tl.constexpr,
    CAPPED: tl.constexpr,
    SINKS: tl.constexpr,
) -> None:
    """One block of rows of one query head. The first arguments are the tensors, followed by their strides."""
    block = tl.program_id(0)
    # 64 bits, because the tensors of a long batch have more elements than 32 bits can count.
    sample = (tl.program_id(1) // heads).to(tl.int64)
    head = (tl.program_id(1) % heads).to(tl.int64)
    shared = head // groups
    rows = block * ROWS + tl.arange(0, ROWS)
    places = tl.arange(0, PADDED_SIZE)
    value_places = tl.arange(0, PADDED_VALUE_SIZE)
    wide = rows.to(tl.int64)[:, None]
    there = (rows < positions)[:, None]

    query += sample * query_batch + head * query_head
    gradient += sample * gradient_batch + head * gradient_head
    key += sample * key_batch + shared * key_head
    value += sample * value_batch + shared * value_head
    if MASKED:
        mask += sample * mask_batch + head * mask_head
    q = _elements(query, wide, query_row, places[None, :], query_size, there & (places < SIZE)[None, :])
    of_value = value_places < VALUE_SIZE
    d = _elements(gradient, wide, gradient_row, value_places[None, :], gradient_size, there & of_value[None, :])
    begin = tl.load(first + sample * extent_batch + head * extent_head + block)
    end = tl.load(last + sample * extent_batch + head * extent_head + block)
    # Rows that no gradient reaches (padding, a prompt in the last layer) add nothing.
    # NaN counts as not 0, but a maximum may skip it.
    end = tl.where(tl.max(tl.max((d != 0).to(tl.int32), 1), 0) > 0, end, begin)

    largest = tl.full([ROWS], float("-inf"), tl.float32)
    weight = tl.zeros([ROWS], tl.float32)
    product = tl.zeros([ROWS], tl.float32)
    if SINKS:
        largest = tl.full([ROWS], 0.0, tl.float32) + tl.load(sinks + head).to(tl.float32)
        weight += 1.0
    for start in range(begin, end, COLUMNS):
        columns = start + tl.arange(0, COLUMNS)
        wide_columns = columns.to(tl.int64)[None, :]
        before = (columns < end)[None, :]
        k = _elements(key, wide_columns, key_row, places[:, None], key_size, before & (places < SIZE)[:, None])
        s = tl.dot(q, k, input_precision="ieee") * scaling
        if CAPPED:
            # tanh(x) = 2·sigmoid(2x) − 1
            s = softcap * (2.0 * tl.sigmoid(2.0 * s / softcap) - 1.0)
        allowed = _allowed(rows, columns, positions, end, mask, mask_row, mask_column, CAUSAL, MASKED)
        s = tl.where(allowed, s, float("-inf"))
        larger = tl.maximum(largest, tl.max(s, 1))
        # For a row without an allowed column so far, −∞ − (−∞) would be NaN.
        reference = tl.where(larger == float("-inf"), 0.0, larger)
        rescaled = tl.exp(largest - reference)
        p = tl.exp(s - reference[:, None])
        v = _elements(value, wide_columns, value_row, value_places[:, None], value_size, before & of_value[:, None])
        g = tl.dot(d, v, input_precision="ieee")
        weight = weight * rescaled + tl.sum(p, 1)
        product = product * rescaled + tl.sum(p * tl.abs(g), 1)
        largest = larger
    of_rows = tl.where(weight == 0, 0.0, product / tl.where(weight == 0, 1.0, weight))
    tl.store(total + tl.program_id(1).to(tl.int64) * tl.num_programs(0) + block, tl.sum(of_rows, 0))
