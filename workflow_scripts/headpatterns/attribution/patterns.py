"""The activation patterns of a model on samples, as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from headpatterns.errors import InputError

REDUCTIONS = ("abs_of_sum", "sum_of_abs", "abs_per_position")
"""The three readings of Eq. 2."""

SIGNED = frozenset({"abs_of_sum"})
"""Reductions that take the absolute value as the last step: the sum of a sample is stored with its sign."""

Values = Float32[np.ndarray, "samples layers heads"]


def check_reductions(reductions: Sequence[str]) -> None:
    """Refuse reductions that do not exist, or a reduction that is named twice.

    Raises:
        InputError: naming the reduction.
    """
    for place, reduction in enumerate(reductions):
        if reduction not in REDUCTIONS:
            raise InputError(f"unknown reduction '{reduction}': use one of {', '.join(REDUCTIONS)}.")
        if reduction in reductions[:place]:
            raise InputError(f"the reduction '{reduction}' is named twice: name it once.")


def reduced(reduction: str, stored: Values) -> Values:
    """Values of a reduction, not negative, from its stored values; of the same shape."""
    return np.abs(stored) if reduction in SIGNED else stored


@dataclass(frozen=True)
class Patterns:
    """The result of `activation_patterns`; rows are in the order of the samples.

    Attributes:
        sums: by reduction, float32 [samples, layers, query heads], not averaged. The requested `reduction` comes first.
            The entry of `abs_of_sum` is the sum Σ_ij A_ij G_ij with its sign.
        losses: float64 [samples], mean negative log-likelihood of the response tokens, EOS included (nats).
    """

    sums: Mapping[str, Values]
    losses: Float64[np.ndarray, " samples"]

    @classmethod
    def stacked(
        cls,
        reductions: Sequence[str],
        values: Float32[np.ndarray, "samples reductions layers heads"],
        losses: Float64[np.ndarray, " samples"],
    ) -> "Patterns":
        """Patterns from an array with the values of several reductions, in their order."""
        sums = {one: np.ascontiguousarray(values[:, place]) for place, one in enumerate(reductions)}
        return cls(sums, losses)

    @property
    def reduction(self) -> str:
        """The first reduction, that of `values` and `mean`."""
        return next(iter(self.sums))

    @property
    def also(self) -> list[str]:
        """The further reductions."""
        return list(self.sums)[1:]

    @property
    def values(self) -> Values:
        """Float32 [samples, layers, query heads], not negative; the mean over samples is AP of Eq. 2."""
        return self.by(self.reduction)

    @property
    def signed(self) -> Values:
        """Σ_ij A_ij G_ij of every sample with its sign: float32 [samples, layers, query heads].

        Raises:
            InputError: `abs_of_sum` was not requested.
        """
        return self._stored("abs_of_sum")

    @property
    def mean(self) -> Float32[np.ndarray, "layers heads"]:
        """The activation pattern: float32 [layers, query heads], accumulated in float64."""
        mean: Float32[np.ndarray, "layers heads"] = self.values.mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean

    def by(self, reduction: str) -> Values:
        """`values` by any of the requested reductions.

        Raises:
            InputError: the reduction was not requested.
        """
        return reduced(reduction, self._stored(reduction))

    def _stored(self, reduction: str) -> Values:
        if reduction not in self.sums:
            raise InputError(
                f"these patterns have no '{reduction}' (only {', '.join(self.sums)}): ask for it with "
                "reduction or also."
            )
        return self.sums[reduction]
