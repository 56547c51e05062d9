"""The loss of a micro-batch, with logits only at positions that predict a label, for a few labels at a time.

It is the same loss as in transformers: the sum of the cross entropies of all labels over the number of labels of the
whole step, including those of other micro-batches and processes.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from transformers import Trainer

from headpatterns.errors import InputError
from headpatterns.models import projection, token_losses


class Labels(NamedTuple):
    """Labels of a micro-batch that are predicted, and their positions."""

    targets: Int[torch.Tensor, " labels"]
    places: projection.Predictions


class PredictingTrainer(Trainer):
    """A Trainer that projects to the vocabulary only at positions that predict a label."""

    def __init__(self, **settings: Any) -> None:
        """Take the Trainer's own arguments, by name.

        Raises:
            InputError: the model has no projection to a vocabulary, or a loss with more terms than that of the labels.
        """
        model = settings["model"]
        self.head = projection.head_of(model)
        if getattr(model.config.get_text_config(), "output_router_logits", False):
            raise InputError(
                f"{type(model).__name__} adds the loss of its router to the loss: set output_router_logits to "
                "false in its config.json."
            )
        super().__init__(**settings, compute_loss_func=self._loss)

    def compute_loss(self, model: Any, inputs: dict[str, Any], *others: Any, **named: Any) -> Any:
        """The Trainer's own function, which passes the predicted labels and the model's outputs to `_loss`."""
        rows, positions, targets = projection.predicting(inputs["labels"])
        unwrapped: Any = self.model
        with projection.projected(unwrapped, self.head, rows, positions) as places:
            return super().compute_loss(model, {**inputs, "labels": Labels(targets, places)}, *others, **named)

    def _loss(self, outputs: Any, labels: Labels, num_items_in_batch: torch.Tensor | int) -> Float[torch.Tensor, ""]:
        """The contribution of a micro-batch to the loss of a step with this number of labels.

        Raises:
            InputError: the model returned other logits than those of the labels.
        """
        states = labels.places.states(type(self.model).__name__, self.head, outputs.logits)
        weights = torch.ones(len(labels.targets), device=states.device) / num_items_in_batch
        return token_losses.weighed(self.head, states, labels.targets, weights)[0]
