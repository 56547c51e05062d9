"""The pattern of Eq. 2 in its second reading: Σ_ij |A_ij G_ij| of a sample."""

from headpatterns.attribution.scores.score import Score

SCORE = Score(label="pattern, Σ |A G|", of_model=lambda given: given.patterns["sum_of_abs"])
