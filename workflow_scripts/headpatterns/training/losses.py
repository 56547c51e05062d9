"""The loss of a micro-batch, with logits only where a label is predicted.

It is the loss that transformers gives to models: the sum of the cross entropies of all labels over the number of labels
of the whole step, which other micro-batches and processes have a part in.
"""

import functools
from typing import Any

import torch
from jaxtyping import Float, Int
from torch.autograd.function import once_differentiable
from transformers import Trainer

from headpatterns.errors import InputError
from headpatterns.models import projection


class PredictingTrainer(Trainer):
    """A Trainer that projects to the vocabulary where a label is predicted, and nowhere else."""

    def __init__(self, **settings: Any) -> None:
        """Take the Trainer's own arguments, by name.

        Raises:
            InputError: the model has no projection to a vocabulary, or a loss that is more than that of the labels.
        """
        model = settings["model"]
        projection.of(model)
        if getattr(model.config.get_text_config(), "output_router_logits", False):
            raise InputError(
                f"{type(model).__name__} adds a loss of its router: set output_router_logits to false in "
                "its config.json."
            )
        super().__init__(**settings, compute_loss_func=functools.partial(_loss, type(model).__name__))

    def compute_loss(self, model: Any, inputs: dict[str, Any], *others: Any, **named: Any) -> Any:
        """The Trainer's own, which hands the labels that are left here to `_loss`, together with their logits."""
        rows, positions, labels = projection.predicting(inputs["labels"])
        unwrapped: Any = self.model
        with projection.projected(unwrapped, rows, positions):
            return super().compute_loss(model, {**inputs, "labels": labels}, *others, **named)


def _loss(
    name: str, outputs: Any, labels: Int[torch.Tensor, " labels"], num_items_in_batch: torch.Tensor | int
) -> Float[torch.Tensor, ""]:
    """The part that a micro-batch has in the loss of a step of so many labels; `name` is the model's class.

    Raises:
        InputError: the model gave other logits than those of the labels.
    """
    projection.check(name, outputs.logits, len(labels))
    logits = outputs.logits.squeeze(0).float()
    total: torch.Tensor = _SummedCrossEntropy.apply(logits, labels)  # type: ignore[no-untyped-call]  # torch has no types
    return total / num_items_in_batch


class _SummedCrossEntropy(torch.autograd.Function):
    """Torch's own with `reduction="sum"`, in half its time and memory: it keeps the gradient alone."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Sum of -log softmax at the labels; `logits` [labels, vocabulary] float32."""
        logs = torch.log_softmax(logits, dim=-1)
        at = (torch.arange(len(labels), device=labels.device), labels)
        total = -logs[at].sum()
        gradient = logs.exp_()  # d total / d logits: the probabilities, less 1 at the labels
        gradient[at] -= 1
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: torch.Tensor) -> tuple[torch.Tensor, None]:
        """The gradient by the logits; it is used up."""
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(scale), None
