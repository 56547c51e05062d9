"""Σ_i ‖o_i‖ ‖dO_i‖, the largest value that Σ_i |<o_i, dO_i>| could have."""

from typing import TYPE_CHECKING

from headpatterns.attribution.scores.score import Layer, Score

if TYPE_CHECKING:
    import torch


def norm_product(layer: Layer) -> "torch.Tensor":
    """[heads]."""
    products: torch.Tensor = layer.output.float().norm(dim=2) * layer.gradient.float().norm(dim=2)
    return products.sum(dim=0)


SCORE = Score(label="Σ ‖o‖ ‖dO‖", of_layer=norm_product)
