"""The definition of a score of heads, and its inputs. Torch is not imported when only names are read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PreTrainedModel

    from headpatterns.attribution.inputs import Sample
    from headpatterns.attribution.layer_inputs import AttentionInputs


class NotAvailableError(Exception):
    """A score that a model does not have, such as one of weights that its architecture does not split by head.

    Its text completes the sentence "SCORE is left out of MODEL: ...".
    """


@dataclass(frozen=True)
class Layer:
    """One sample in one layer of a forward and backward pass, without padding; tensors are on the model's device.

    Attributes:
        output: o = A·V of every query head, [positions, heads, value size].
        gradient: dO = ∂L/∂o, of the same shape. L is the mean negative log-likelihood of the response tokens (nats).
        inputs: the arguments of the layer's attention function, for this sample alone.
        input_ids: all tokens.
        labels: as many; those that carry no loss are −100. A label is predicted at the position before it.
    """

    output: "torch.Tensor"
    gradient: "torch.Tensor"
    inputs: "AttentionInputs"
    input_ids: Sequence[int]
    labels: Sequence[int]

    @cached_property
    def attention(self) -> "torch.Tensor":
        """A after the softmax, float32 [heads, positions, positions]; computed when it is first asked for."""
        from headpatterns.attribution.blockwise import matrix

        return matrix(self.inputs)


@dataclass(frozen=True)
class Given:
    """A model and some samples, after the passes that compute the scores of layers.

    Attributes:
        model: the model, on its device.
        samples: tokenized samples.
        patterns: by reduction, float32 [samples, layers, heads], not negative, and as `signed` Σ_ij A_ij G_ij.
        before: returns the model that fine-tuning started from, on the processor; None for that model itself.
        token_budget: as in `activation_patterns`, for passes of the score itself.
    """

    model: "PreTrainedModel"
    samples: "Sequence[Sample]"
    patterns: "Mapping[str, np.ndarray]"
    before: "Callable[[], PreTrainedModel] | None"
    token_budget: int | str


@dataclass(frozen=True, kw_only=True)
class Score:
    """A score, defined by one of two functions. Heads that matter more have larger values.

    Attributes:
        label: its name in tables and figures.
        of_layer: maps a `Layer` to a tensor [heads]. All such scores come from one forward and backward pass.
        of_model: maps a `Given` to an array [layers, heads] or [samples, layers, heads]; it may raise
            `NotAvailableError`.
        estimates: whether the value is an estimate of the change of the loss without the head, in nats: `signed`, with
            its sign, or `absolute`, its magnitude; empty for scores on another scale.
        of_change: whether it compares a model with the one that fine-tuning started from. It has no value before
            fine-tuning, and is itself a change.
    """

    label: str
    of_layer: "Callable[[Layer], torch.Tensor] | None" = None
    of_model: "Callable[[Given], Any] | None" = None
    estimates: str = ""
    of_change: bool = False
