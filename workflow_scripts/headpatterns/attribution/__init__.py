"""Activation patterns of attention heads: how much each head contributes to the loss of a sample (Eq. 2)."""

from headpatterns.attribution.extraction import Patterns, activation_patterns
from headpatterns.attribution.reductions import REDUCTIONS

__all__ = ["REDUCTIONS", "Patterns", "activation_patterns"]
