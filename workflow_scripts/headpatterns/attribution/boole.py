"""Boole's rule: an integral from 0 to 1 from the values of a function at equally spaced doses."""

import numpy as np
from jaxtyping import Float, Float64

DOSES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Factors of the outputs of heads, in the order of files and arrays."""


def weights(count: int) -> Float64[np.ndarray, " {count}"]:
    """Weights of `count` = 4 n + 1 doses from 0 to 1: the closed Newton-Cotes rule of five points, applied n times.

    With five doses it is exact for polynomials of degree 5; the error falls as n⁻⁶.
    """
    steps = count - 1
    found = np.zeros(count)
    for start in range(0, steps, 4):
        found[start : start + 5] += np.array([7, 32, 12, 32, 7]) * 4 / (90 * steps)
    return found


def integrated(values: Float[np.ndarray, " doses *rest"]) -> Float64[np.ndarray, " *rest"]:
    """The integral of a function from its values at 4 n + 1 doses."""
    return np.asarray(np.tensordot(weights(len(values)), values, axes=1))
