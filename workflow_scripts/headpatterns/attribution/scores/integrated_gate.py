"""Attribution of a head after Hao et al. (2021): the slope of the loss along a gate of its layer, integrated.

The sign is reversed, so that a head without which the loss rises has a positive value. `gates.integrated_gates`
describes the integral.
"""

from typing import Any

from headpatterns.attribution.scores.score import Given, Score


def integrated_gate(given: Given) -> Any:
    """−∫ Σ_i <o_i, ∂L/∂(α·o_i)> dα for every sample: [samples, layers, heads]."""
    from headpatterns.attribution.gates import integrated_gates

    return -integrated_gates(given.model, given.samples, token_budget=given.token_budget)


SCORE = Score(label="integrated gate", of_model=integrated_gate, estimates="signed")
