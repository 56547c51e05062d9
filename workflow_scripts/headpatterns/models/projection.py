"""The projection to the vocabulary, computed where a token is predicted and nowhere else.

Its logits are the largest tensor of a pass, with as many numbers for each token as there are tokens in the vocabulary.
Prompt and padding need none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from headpatterns.data.tokens import IGNORED
from headpatterns.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def predicting(labels: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """Rows and positions whose next token has a label, and these labels, each [predicted tokens].

    `labels` are [batch, positions], `IGNORED` where there is none.
    """
    rows, positions = (labels[:, 1:] != IGNORED).nonzero(as_tuple=True)
    return rows, positions, labels[rows, positions + 1]


@contextmanager
def projected(model: "PreTrainedModel", rows: "torch.Tensor", positions: "torch.Tensor") -> Iterator[None]:
    """Inside, `model` gives logits of these places alone, as one sequence: [1, predicted tokens, vocabulary].

    What else a model does to its logits (scale, cap) it does itself.

    Raises:
        InputError: the model has no projection to a vocabulary.
    """
    projection = of(model)
    chosen = projection.register_forward_pre_hook(lambda _, hidden: (hidden[0][rows, positions][None],))
    try:
        yield
    finally:
        chosen.remove()


def of(model: "PreTrainedModel") -> Any:
    """The module that projects to the vocabulary.

    Raises:
        InputError: the model has none.
    """
    projection: Any = model.get_output_embeddings()
    if projection is None:
        raise InputError(f"{type(model).__name__} has no projection to a vocabulary: give a causal language model.")
    return projection


def check(name: str, logits: "torch.Tensor", tokens: int) -> None:
    """Refuse the model `name` where it gave other logits than those that `projected` asked for.

    Raises:
        InputError: it did.
    """
    if logits.shape[:2] != (1, tokens):
        raise InputError(
            f"{name} does not give its hidden states to its output embeddings as [batch, positions, "
            "hidden]: use another architecture."
        )
