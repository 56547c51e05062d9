"""Norm of the output of a head: ‖o‖ over all positions."""

from headpatterns.attribution.scores.score import Score

SCORE = Score(label="output norm ‖o‖", of_layer=lambda layer: layer.output.float().norm(dim=(0, 2)))
