"""The pattern of Eq. 2 as the paper's released script computes it: |Σ_ij A_ij G_ij| of a sample."""

from headpatterns.attribution.scores.score import Score

SCORE = Score(label="pattern, |Σ A G|", of_model=lambda given: given.patterns["abs_of_sum"], estimates="absolute")
