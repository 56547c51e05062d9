"""How patterns are read: the choices between stored per-sample values and the numbers of an analysis.

Each choice is a key of `analysis` in the config. The paper leaves all of them open.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args

from headpatterns.errors import InputError
from headpatterns.experiment.fields import Change, Normalisation, Reduction, Weighting

REDUCTIONS = get_args(Reduction)
"""The three readings of Eq. 2, as `attribution.patterns` names them; this module is read without numpy."""


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
        if unknown := [name for name in found if name not in FIELDS]:
            raise InputError(f"a reading of patterns has no key '{unknown[0]}': use {', '.join(FIELDS)}.")
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


FIELDS = tuple(field.name for field in fields(Reading))
"""All choices."""

OF_PATTERNS = ("reduction", "normalisation", "weighting")
"""The choices that patterns depend on; the others are about what Eq. 3 makes of them."""

PLAIN = Reading()
"""What is left out is as by default."""
