"""Activation patterns of attention heads: how much each head contributes to the loss of a sample (Eq. 2).

The names below are imported on first use, because they need torch and reading files of patterns does not.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headpatterns.attribution.check import Check, check_model
    from headpatterns.attribution.extraction import activation_patterns
    from headpatterns.attribution.patterns import REDUCTIONS, Patterns

__all__ = ["REDUCTIONS", "Check", "Patterns", "activation_patterns", "check_model"]


def __getattr__(name: str) -> Any:
    """A name of `__all__`."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from headpatterns.attribution import check, extraction, patterns

    return next(getattr(module, name) for module in (check, extraction, patterns) if hasattr(module, name))


def __dir__() -> list[str]:
    """The names of the module, including those of `__all__`."""
    return sorted({*globals(), *__all__})
