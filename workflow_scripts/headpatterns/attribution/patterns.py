"""The activation patterns of a model on samples, as arrays."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Patterns:
    """What `activation_patterns` gives back; rows in the order of the samples.

    Attributes:
        values: float32 [samples, layers, query heads], un-averaged; the mean over samples is AP of Eq. 2.
        losses: float64 [samples], mean negative log-likelihood of the response tokens, EOS included (nats).
    """

    values: np.ndarray
    losses: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """The activation pattern: float32 [layers, query heads], accumulated in float64."""
        return self.values.mean(axis=0, dtype=np.float64).astype(np.float32)
