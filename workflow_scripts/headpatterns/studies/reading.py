"""How patterns are read: the choices between stored per-sample values and the numbers of an analysis.

Each choice is a key of `analysis` in the config. The paper leaves all of them open.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from headpatterns.errors import InputError

REDUCTIONS = ("abs_of_sum", "sum_of_abs", "abs_per_position")
"""The three readings of Eq. 2, as `attribution.patterns` names them; this module is read without numpy."""

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

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> "Reading":
        """The reading that a JSON object describes; what it leaves out is as by default.

        Raises:
            InputError: a field or a value that does not exist.
        """
        found = dict(given or {})
        known = [field.name for field in fields(cls)]
        if unknown := [name for name in found if name not in known]:
            raise InputError(f"a reading of patterns has no '{unknown[0]}': give some of {', '.join(known)}.")
        allowed: dict[str, tuple[Any, ...]] = {
            "reduction": (None, *REDUCTIONS),
            "normalisation": get_args(Normalisation),
            "weighting": get_args(Weighting),
            "change": get_args(Change),
            "intercept": (False, True),
        }
        for name, value in found.items():
            # 0 and 1 equal False and True, and are neither.
            if not any(value is one or (isinstance(one, str) and value == one) for one in allowed[name]):
                choices = ", ".join("null" if one is None else str(one).lower() for one in allowed[name])
                raise InputError(f"the reading of patterns has {name} {value!r}: give one of {choices}.")
        return cls(**found)
