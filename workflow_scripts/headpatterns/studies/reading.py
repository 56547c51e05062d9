"""How patterns are read: the choices that turn stored per-sample values into the numbers of an analysis.

Each choice is a key of `analysis` in the config. The paper specifies none of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args

from headpatterns.errors import InputError
from headpatterns.experiment.fields import Change, Normalisation, Reduction, Weighting

REDUCTIONS = get_args(Reduction)
"""The three readings of Eq. 2, as `attribution.patterns` names them; this module is imported without numpy."""


@dataclass(frozen=True)
class Reading:
    """One way to read patterns; the defaults follow the paper where it specifies a choice.

    Attributes:
        reduction: an extracted reduction of Eq. 2; None for the config's `patterns.reduction`.
        normalisation: the divisor of a sample's levels.
        weighting: how samples are averaged.
        change: the measure of change that Eq. 3 regresses.
        intercept: whether Eq. 3 also has a constant.
    """

    reduction: str | None = None
    normalisation: Normalisation = "none"
    weighting: Weighting = "samples"
    change: Change = "difference"
    intercept: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> "Reading":
        """The reading that a JSON object describes; missing fields take their defaults.

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
            # 0 and 1 compare equal to False and True, but are not accepted.
            if not any(value is one or (isinstance(one, str) and value == one) for one in allowed[name]):
                choices = ", ".join("null" if one is None else str(one).lower() for one in allowed[name])
                raise InputError(f"the reading of patterns has {name} {value!r}: give one of {choices}.")
        return cls(**found)


FIELDS = tuple(field.name for field in fields(Reading))
"""All choices."""

OF_PATTERNS = ("reduction", "normalisation", "weighting")
"""The choices that patterns depend on; the others concern Eq. 3."""

PLAIN = Reading()
"""The reading with all defaults."""
