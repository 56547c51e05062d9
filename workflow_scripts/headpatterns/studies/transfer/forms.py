"""Is it the rows of a task or the form of its responses that makes tasks similar?

Some tasks exist twice: the same rows with responses in two forms, such as a letter and a text. Then there are three
kinds of pairs of tasks: they share the rows, the form, or neither. Two contrasts measure what sharing adds:

    rows   mean over pairs of the same rows in two forms, minus mean over pairs of other rows in two forms
    form   mean over pairs of other rows in one form, minus mean over pairs of other rows in two forms

**Permutation.** If rows do not matter, the second forms can be matched to the first forms in any of m! ways. If forms
do not matter, the two forms of each set of rows can be swapped, in 2^(m - 1) different ways. The test enumerates all
of them, so the smallest p are 1/m! and 1/2^(m - 1): with four sets of rows 1/24 and 1/8.
"""

import math
from collections.abc import Callable
from itertools import permutations, product

import numpy as np
from jaxtyping import Float, Float64, Int

ROWS, FORM = "rows", "form"

MOST = 7
"""The most sets of rows for which every matching and every swap can be enumerated."""

# Equal means in another order differ by less than this.
ROUNDING = 1e-12

Matrices = Float[np.ndarray, "*batch tasks tasks"]
Pairs = Int[np.ndarray, "sets 2"]
"""The places of both forms of each set of rows."""


def rows_contrast(matrix: Matrices, pairs: Pairs) -> Float64[np.ndarray, "*batch"]:
    """What sharing the rows adds: [..., T, T] to [...]."""
    across = _across(matrix, pairs)
    same = np.eye(len(pairs), dtype=bool)
    return np.asarray(across[..., same].mean(axis=-1) - across[..., ~same].mean(axis=-1))


def form_contrast(matrix: Matrices, pairs: Pairs) -> Float64[np.ndarray, "*batch"]:
    """What sharing the form adds: [..., T, T] to [...]."""
    other = ~np.eye(len(pairs), dtype=bool)
    within = [matrix[..., own[:, None], own][..., other].mean(axis=-1) for own in pairs.T]
    return np.asarray(np.mean(within, axis=0) - _across(matrix, pairs)[..., other].mean(axis=-1))


CONTRASTS: dict[str, Callable[[Matrices, Pairs], np.ndarray]] = {ROWS: rows_contrast, FORM: form_contrast}


def _across(matrix: Matrices, pairs: Pairs) -> np.ndarray:
    """Cells of the first forms with the second ones, of both directions: [..., sets, sets]."""
    first, second = pairs.T
    found: np.ndarray = matrix[..., first[:, None], second]
    back: np.ndarray = matrix[..., second[:, None], first].swapaxes(-1, -2)
    return np.asarray((found + back) / 2)


def permutation_p(matrix: Float[np.ndarray, "tasks tasks"], pairs: Pairs, contrast: str) -> tuple[float, float, float]:
    """Shares of all permutations whose contrast is at least, and at most, the observed one; and the least such share.

    The shares are NaN if the contrast is NaN, for example if the relation lacks a cell.

    Args:
        matrix: [T, T].
        pairs: both forms of at most `MOST` sets of rows.
        contrast: `ROWS` or `FORM`.
    """
    measure = CONTRASTS[contrast]
    dealt = matchings(pairs) if contrast == ROWS else swaps(pairs)
    found = np.array([float(measure(matrix, one)) for one in dealt])
    observed = float(measure(matrix, pairs))
    if math.isnan(observed):
        return math.nan, math.nan, 1 / len(dealt)
    above, below = np.mean(found >= observed - ROUNDING), np.mean(found <= observed + ROUNDING)
    return float(above), float(below), 1 / len(dealt)


def matchings(pairs: Pairs) -> list[Pairs]:
    """Every way to match the second forms to the first forms."""
    first, second = pairs.T
    return [np.stack([first, second[list(order)]], axis=1) for order in permutations(range(len(pairs)))]


def swaps(pairs: Pairs) -> list[Pairs]:
    """Every way to swap the two forms of some sets of rows; the first set stays, as both forms are equivalent."""
    flips = product((False, True), repeat=len(pairs) - 1)
    return [np.where(np.array([False, *flip])[:, None], pairs[:, ::-1], pairs) for flip in flips]
