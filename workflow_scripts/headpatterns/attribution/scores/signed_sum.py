"""The pattern with its sign, −Σ_ij A_ij G_ij: how much the loss rises without the head, to first order.

In its mean, samples that the head helps and samples that it hurts cancel out.
"""

from headpatterns.attribution.scores.score import Score

SCORE = Score(label="signed pattern, −Σ A G", of_model=lambda given: -given.patterns["signed"], estimates="signed")
