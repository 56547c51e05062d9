"""How patterns are read: the choices between stored per-sample values and the numbers of an analysis.

Each choice is a key of `analysis` in the config. The paper leaves all of them open.
"""

from dataclasses import dataclass
from typing import Literal

Normalisation = Literal["none", "loss", "sum"]
"""Level as it is, divided by the sample's loss, or each sample's pattern divided by its sum over all heads."""

Weighting = Literal["samples", "batches_of_four"]
"""The mean over samples, or the mean that the paper's released script takes (each sample of a batch of four weighs as
many response tokens as it has, and batches count alike)."""

Change = Literal["difference", "rate", "log_ratio"]
"""After − before, that over before, or log(after / before); head by head."""


@dataclass(frozen=True)
class Reading:
    """One way to read patterns; the defaults are the paper's as far as it says.

    Attributes:
        reduction: of Eq. 2, one of those that were extracted; None for the config's `patterns.reduction`.
        normalisation: what a sample's levels are divided by.
        weighting: how samples are averaged.
        change: what is regressed in Eq. 3.
        intercept: whether Eq. 3 has a constant as well.
    """

    reduction: str | None = None
    normalisation: Normalisation = "none"
    weighting: Weighting = "samples"
    change: Change = "difference"
    intercept: bool = False
