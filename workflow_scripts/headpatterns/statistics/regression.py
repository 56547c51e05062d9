"""Is the change of a complex task a sum of the changes of basic tasks (Eq. 3, 10)?

The model is `change_complex = sum_k beta_k change_k + error` over the layers x heads entries, solved by least squares
for every single basic task, every pair and the full set, with intervals from the bootstrap over probe samples and a
null in which the heads of the complex task are permuted.

All term sets use the same few columns, so one orthogonal (QR) reduction turns layers x heads equations into one per
basic task. Each term set is then a small problem, solved for all replicates at once. Unlike normal equations, the
reduction does not square the condition number.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Float64

from headpatterns.errors import InputError
from headpatterns.statistics.distribution import flat, is_constant

# Columns have unit length when they are solved. The residual of a column after projection on the others counts as
# rounding below this share (patterns are stored as float32, with a relative resolution of 6e-8).
RANK_TOLERANCE = 1e-10


@dataclass(frozen=True)
class Reduced:
    """A least-squares problem in the coordinates of an orthonormal basis of all its columns.

    Attributes:
        columns: [..., basis, columns], the columns (basic changes, then perhaps the intercept).
        target: [..., basis], the part of the complex change inside their span.
        outside: [...], sum of squares of the part outside, which no term set can explain.
        total: [...], sum of squares about the mean; NaN if the complex change is constant.
    """

    columns: Float64[np.ndarray, "*#batch basis columns"]
    target: Float64[np.ndarray, "*#batch basis"]
    outside: Float64[np.ndarray, "*#batch"]
    total: Float64[np.ndarray, "*#batch"]


@dataclass(frozen=True)
class Fit:
    """One term set. Index 0 of the leading axis is the estimate, the rest are its B bootstrap replicates.

    Attributes:
        terms: indices of the basic tasks.
        r2: [1 + B].
        beta: [1 + B, terms], with one more column at the end when an intercept was fitted.
        null: [draws], R² with the heads of the complex change permuted.
        p_value: (1 + number of permutations with at least the R² of the estimate) / (1 + draws); NaN without R².
    """

    terms: tuple[int, ...]
    r2: Float64[np.ndarray, " replicates"]
    beta: Float64[np.ndarray, "replicates coefficients"]
    null: Float64[np.ndarray, " draws"]
    p_value: float


def fit_all(
    complex_change: Float[np.ndarray, "replicates layers heads"],
    basic_changes: Float[np.ndarray, "replicates tasks layers heads"],
    intercept: bool,
    permutations: int,
    seed: int,
) -> list[Fit]:
    """Fit every term set of `term_sets`.

    R² is `1 - SS_res / SS_tot` with SS_tot about the mean, with or without an intercept. So it can be negative without
    one. It is NaN for a constant complex change, and in a replicate in which a change is not finite. Linearly dependent
    tasks (for example two identical ones) are not an error: R² is defined, and beta is the solution with the smallest
    length for unit columns, from the pseudo-inverse. So identical tasks share their weight.

    Args:
        complex_change: [1 + B, layers, heads], estimate and bootstrap replicates.
        basic_changes: [1 + B, tasks, layers, heads], on their own draws.
        intercept: whether every term set also gets a constant column.
        permutations: number of draws of the null, the same for all term sets.
        seed: seed of the permutations.

    Raises:
        InputError: less than one permutation.
    """
    shuffled = permuted(complex_change[0], permutations, seed)
    problem = reduce(complex_change, basic_changes, intercept)
    null_problem = reduce(shuffled, basic_changes[:1], intercept)
    tasks = basic_changes.shape[1]
    fits = []
    for terms in term_sets(tasks):
        columns = [*terms, tasks] if intercept else list(terms)
        beta, r2 = solve(problem, columns)
        _, null = solve(null_problem, columns)
        p_value = np.nan if np.isnan(r2[0]) else (1 + np.count_nonzero(null >= r2[0])) / (1 + permutations)
        fits.append(Fit(terms, r2, beta, null, float(p_value)))
    return fits


def term_sets(tasks: int) -> list[tuple[int, ...]]:
    """Every single task, every pair, and all tasks together; each set once, indices ascending."""
    sizes = sorted({1, 2, tasks} & set(range(1, tasks + 1)))
    return [terms for size in sizes for terms in combinations(range(tasks), size)]


def permuted(
    pattern: Float[np.ndarray, "layers heads"], permutations: int, seed: int
) -> Float[np.ndarray, "{permutations} layers heads"]:
    """Copies of one pattern [layers, heads] with its entries in random order: [permutations, layers, heads].

    Raises:
        InputError: less than one permutation.
    """
    if permutations < 1:
        raise InputError(f"--permutations is {permutations}: the null needs at least 1, and 1000 are better.")
    generator = np.random.Generator(np.random.PCG64(seed))
    copies = np.broadcast_to(pattern.ravel(), (permutations, pattern.size))
    return generator.permuted(copies, axis=1).reshape(permutations, *pattern.shape)


def reduce(
    complex_change: Float[np.ndarray, "*#batch layers heads"],
    basic_changes: Float[np.ndarray, "*#batch tasks layers heads"],
    intercept: bool,
) -> Reduced:
    """Reduce the problem to the span of its columns; leading axes of the two arguments broadcast.

    If an entry is not finite (the rate of a head that is dead in a replicate), the whole target is NaN. Then
    coefficients and R² of this replicate are NaN as well.

    Args:
        complex_change: [..., layers, heads].
        basic_changes: [..., tasks, layers, heads].
        intercept: whether a constant column follows the tasks.
    """
    target = flat(complex_change)
    columns = flat(basic_changes)
    finite = np.isfinite(columns).all(axis=(-2, -1)) & np.isfinite(target).all(axis=-1)
    target = np.where(finite[..., None], target, np.nan)
    columns = np.where(np.isfinite(columns), columns, 0.0)
    if intercept:
        columns = np.concatenate([columns, np.ones_like(columns[..., :1, :])], axis=-2)
    basis, coordinates = np.linalg.qr(columns.swapaxes(-1, -2))
    inside = (target[..., None, :] @ basis)[..., 0, :]
    outside = target - (basis @ inside[..., None])[..., 0]
    centred = target - target.mean(axis=-1, keepdims=True)
    total = np.where(is_constant(target), np.nan, np.square(centred).sum(axis=-1))
    return Reduced(coordinates, inside, np.square(outside).sum(axis=-1), total)


def solve(
    problem: Reduced, columns: list[int]
) -> tuple[Float64[np.ndarray, "*batch chosen"], Float64[np.ndarray, "*batch"]]:
    """Coefficients [..., columns] and R² [...] of the least-squares fit with some of the problem's columns."""
    chosen = problem.columns[..., columns]
    length = np.linalg.norm(chosen, axis=-2, keepdims=True)
    length = np.where(length == 0, 1.0, length)
    inverse = np.linalg.pinv(chosen / length, rcond=RANK_TOLERANCE)
    scaled = (inverse @ problem.target[..., None])[..., 0]
    beta = scaled / length[..., 0, :]
    inside = problem.target - (chosen @ beta[..., None])[..., 0]
    residual = np.square(inside).sum(axis=-1) + problem.outside
    return beta, 1 - residual / problem.total


def r2_of_pairs(
    complex_change: Float[np.ndarray, "replicates layers heads"],
    basic_changes: Float[np.ndarray, "replicates tasks layers heads"],
    intercept: bool,
) -> Float64[np.ndarray, "replicates pairs"]:
    """R² of every pair of basic tasks, [1 + B, pairs], the pairs in the order of `itertools.combinations`.

    Args:
        complex_change: [1 + B, layers, heads], estimate and bootstrap replicates.
        basic_changes: [1 + B, tasks, layers, heads], at least two tasks.
        intercept: whether every pair also gets a constant column.
    """
    problem = reduce(complex_change, basic_changes, intercept)
    tasks = basic_changes.shape[1]
    constant = [tasks] if intercept else []
    return np.stack([solve(problem, [*pair, *constant])[1] for pair in combinations(range(tasks), 2)], axis=1)
