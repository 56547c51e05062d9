"""The pattern with its sign, −Σ_ij A_ij G_ij: how much the loss rises without the head, to first order.

Samples that the head helps and samples that it hurts cancel in its mean.
"""

from headpatterns.attribution.scores.score import Score

SCORE = Score(label="signed pattern, −Σ A G", of_model=lambda given: -given.patterns["signed"], estimates="signed")
