"""Entropy of the attention of a head, −Σ_j A_ij log A_ij in nats, the mean over positions i.

A head that attends to one token has 0. If a layer has attention sinks, the attention to them is left out.
"""

from typing import TYPE_CHECKING

from headpatterns.attribution.scores.score import Layer, Score

if TYPE_CHECKING:
    import torch


def attention_entropy(layer: Layer) -> "torch.Tensor":
    """[heads]."""
    return -layer.attention.xlogy(layer.attention).sum(dim=2).mean(dim=1)


SCORE = Score(label="attention entropy", of_layer=attention_entropy)
