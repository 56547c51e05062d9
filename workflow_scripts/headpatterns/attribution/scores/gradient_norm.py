"""Norm of the gradient of the output of a head: ‖dO‖ over all positions."""

from headpatterns.attribution.scores.score import Score

SCORE = Score(label="gradient norm ‖dO‖", of_layer=lambda layer: layer.gradient.float().norm(dim=(0, 2)))
