"""The loss of a micro-batch, with logits only where a label is predicted, and of a few labels at a time.

It is the loss that transformers gives to models: the sum of the cross entropies of all labels over the number of labels
of the whole step, which other micro-batches and processes have a part in.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from transformers import Trainer

from headpatterns.errors import InputError
from headpatterns.models import projection, token_losses


class Labels(NamedTuple):
    """Labels of a micro-batch that are predicted, and where."""

    targets: Int[torch.Tensor, " labels"]
    places: projection.Predictions


class PredictingTrainer(Trainer):
    """A Trainer that projects to the vocabulary where a label is predicted, and nowhere else."""

    def __init__(self, **settings: Any) -> None:
        """Take the Trainer's own arguments, by name.

        Raises:
            InputError: the model has no projection to a vocabulary, or a loss that is more than that of the labels.
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
        """The Trainer's own, which hands what is predicted to `_loss`, together with what the model gave."""
        rows, positions, targets = projection.predicting(inputs["labels"])
        unwrapped: Any = self.model
        with projection.projected(unwrapped, self.head, rows, positions) as places:
            return super().compute_loss(model, {**inputs, "labels": Labels(targets, places)}, *others, **named)

    def _loss(self, outputs: Any, labels: Labels, num_items_in_batch: torch.Tensor | int) -> Float[torch.Tensor, ""]:
        """The part that a micro-batch has in the loss of a step of so many labels.

        Raises:
            InputError: the model gave other logits than those of the labels.
        """
        states = labels.places.states(type(self.model).__name__, self.head, outputs.logits)
        weights = torch.ones(len(labels.targets), device=states.device) / num_items_in_batch
        return token_losses.weighed(self.head, states, labels.targets, weights)[0]
