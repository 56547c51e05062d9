"""Random projection of long vectors to few dimensions, with random signs that are never all in memory at once.

Entries are ±1/√d (Achlioptas 2003, "Database-friendly random projections"), which keeps inner products in expectation.
Every call draws the signs again, for one block of the input at a time. For a seed and a size they are the same on every
machine.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

BLOCK_BYTES = 64 * 1024**2
"""Bytes of the signs that are in memory at the same time."""

SIGNS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32) * 2 - 1
"""The eight signs of every byte, [256, 8]."""


def project(
    parts: Sequence[Float[torch.Tensor, "_ size"]], dimension: int, seed: int
) -> Float[torch.Tensor, "samples dimension"]:
    """R·v/√d of every vector v, where R has random signs; float32 [samples, dimension].

    Args:
        parts: the vectors, one per row, in one or several matrices on any device.
        dimension: d, a multiple of 8.
        seed: of the signs.
    """
    size, samples = parts[0].shape[1], sum(map(len, parts))
    rows = max(1, BLOCK_BYTES // (4 * dimension))
    projected = parts[0].new_zeros(samples, dimension)
    for number, start in enumerate(range(0, size, rows)):
        place = slice(start, min(start + rows, size))
        block = torch.cat([part[:, place] for part in parts])
        projected.addmm_(block, signs(block.shape[1], dimension, (seed, number)).to(block.device))
    return projected / math.sqrt(dimension)


def signs(rows: int, dimension: int, seed: tuple[int, int]) -> Float[torch.Tensor, "rows dimension"]:
    """Random signs of a block."""
    drawn = np.random.Generator(np.random.SFC64(seed)).bytes(rows * dimension // 8)
    return torch.from_numpy(SIGNS[np.frombuffer(drawn, dtype=np.uint8)].reshape(rows, dimension))
