"""The pattern of Eq. 2 in its third reading, the head importance of Michel et al. (2019): Σ_i |<o_i, dO_i>|."""

from headpatterns.attribution.scores.score import Score

SCORE = Score(label="pattern, Σ |<o, dO>|", of_model=lambda given: given.patterns["abs_per_position"])
