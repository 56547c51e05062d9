"""The activation patterns of a model on samples, as arrays."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64


@dataclass(frozen=True)
class Patterns:
    """What `activation_patterns` gives back; rows in the order of the samples.

    Attributes:
        values: float32 [samples, layers, query heads], un-averaged; the mean over samples is AP of Eq. 2.
        losses: float64 [samples], mean negative log-likelihood of the response tokens, EOS included (nats).
    """

    values: Float32[np.ndarray, "samples layers heads"]
    losses: Float64[np.ndarray, " samples"]

    @property
    def mean(self) -> Float32[np.ndarray, "layers heads"]:
        """The activation pattern: float32 [layers, query heads], accumulated in float64."""
        mean: Float32[np.ndarray, "layers heads"] = self.values.mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean
