"""From hidden states to the logits of tokens, computed only at positions that predict a token.

Logits are the largest tensor of a pass, with one number per token and entry of the vocabulary. Prompt and padding need
none, and the other logits need not be in memory all at once: `Head.pieces` returns them for a few tokens at a time.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headpatterns.data.tokens import IGNORED
from headpatterns.errors import InputError
from headpatterns.models.first_layers import on_first_layers

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

PIECE = {"cpu": 128, "cuda": 512}
"""Tokens whose logits are in memory at the same time. Smaller pieces are slower, because each piece reads all weights
of the projection and their gradient."""

PROBED = 8
"""Positions at which the model's own logits are compared with those of `Head`."""

LARGEST = 50.0
"""Size of the logits that are compared: as large as in trained models, so that a soft cap has an effect."""

MULTIPLIERS = ("logit_scale", "lm_head_multiplier")
DIVISORS = ("logits_scaling",)
"""Names in configs of transformers for factors of the logits (Cohere; Falcon-H1), and for divisors (Granite)."""

SOFT_CAP = "final_logit_softcapping"
"""Their name for the cap of logits: cap · tanh(logits / cap) (Gemma 2 and 3)."""


@dataclass(frozen=True)
class Head:
    """The computation of logits from hidden states: cap · tanh(scale · (W·h + b) / cap).

    Attributes:
        projection: W, and b if it has one. None if a model computes something else: then the model computes its logits,
            which replace the hidden states here.
        scale: factor of the logits.
        cap: the soft cap, None if there is none.
    """

    projection: "torch.nn.Linear | None" = None
    scale: float = 1.0
    cap: float | None = None

    def project(self, states: "torch.Tensor", weight: "torch.Tensor | None") -> "torch.Tensor":
        """W·h + b in float32, [tokens, vocabulary], of states [tokens, hidden]; `weight` is W in their dtype.

        The caller may change the tensor, even if the states are logits.
        """
        import torch

        if self.projection is None or weight is None:
            return states.to(torch.float32, copy=True)
        bias = self.projection.bias
        return torch.nn.functional.linear(states, weight, None if bias is None else bias.to(states.dtype)).float()

    def finish(self, projected: "torch.Tensor") -> "torch.Tensor":
        """Logits from the result of `project`, which is overwritten."""
        if self.cap is None:
            return projected if self.scale == 1 else projected.mul_(self.scale)
        return projected.mul_(self.scale / self.cap).tanh_().mul_(self.cap)

    def slope(self, logits: "torch.Tensor") -> "torch.Tensor | float":
        """Derivative of logits with respect to the result of `project`: of their shape, or one number for all."""
        if self.cap is None:
            return self.scale
        return (logits / self.cap).square_().neg_().add_(1).mul_(self.scale)

    def weight(self, states: "torch.Tensor") -> "torch.Tensor | None":
        """W in the dtype of the states, copied once for all pieces."""
        return None if self.projection is None else self.projection.weight.to(states.dtype)

    def places(self, states: "torch.Tensor") -> list[slice]:
        """Pieces of the tokens of `states`: at least one, of about the same size, with at most `PIECE` tokens."""
        tokens = len(states)
        most = PIECE.get(states.device.type, PIECE["cuda"])
        step = math.ceil(tokens / max(1, math.ceil(tokens / most))) or 1
        return [slice(start, min(start + step, tokens)) for start in range(0, max(1, tokens), step)]

    def pieces(self, states: "torch.Tensor") -> "Iterator[tuple[slice, torch.Tensor]]":
        """Logits of all tokens of `states`, float32 [tokens of a piece, vocabulary], piece by piece."""
        weight = self.weight(states)
        for place in self.places(states):
            yield place, self.finish(self.project(states[place], weight))


@dataclass
class Predictions:
    """Places that predict a token, and their states in a pass of the model.

    Attributes:
        rows: of the batch, [places].
        positions: in the rows, [places].
        kept: the states that reached a known projection at these places, [places, hidden], after the model has run.
    """

    rows: "torch.Tensor"
    positions: "torch.Tensor"
    kept: "list[torch.Tensor]" = field(default_factory=list)

    def states(self, name: str, head: Head, logits: "torch.Tensor") -> "torch.Tensor":
        """The inputs of `head`, [places, hidden], after a pass inside `projected` that returned `logits`.

        Raises:
            InputError: the model, of the class `name`, returned other logits than the requested ones.
        """
        whole = head.projection is None
        if logits.shape[:2] != (1, len(self.rows) if whole else 0) or len(self.kept) != (not whole):
            raise InputError(
                f"{name} does not pass its hidden states to its output embeddings as [batch, positions, hidden]: "
                "use another architecture."
            )
        return logits.squeeze(0) if whole else self.kept[0]


def predicting(labels: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """Rows and positions whose next token has a label, and these labels, each [predicted tokens].

    `labels` are [batch, positions], `IGNORED` if there is none.
    """
    rows, positions = (labels[:, 1:] != IGNORED).nonzero(as_tuple=True)
    return rows, positions, labels[rows, positions + 1]


@contextmanager
def projected(
    model: "PreTrainedModel", head: Head, rows: "torch.Tensor", positions: "torch.Tensor"
) -> Iterator[Predictions]:
    """Within the block, `model` keeps the states of these places and returns no logits: [1, 0, vocabulary].

    If the head is not known, it returns only the logits of these places, as one sequence: [1, places, vocabulary]. The
    block may run one pass.

    Raises:
        InputError: the model has no projection to a vocabulary.
    """
    found = Predictions(rows, positions)

    def choose(module: Any, given: "tuple[torch.Tensor, ...]") -> "tuple[torch.Tensor]":
        states = given[0][rows, positions]
        if head.projection is None:
            return (states[None],)
        found.kept.append(_cast(states, module.weight))
        return (states[None, :0],)

    chosen = of(model).register_forward_pre_hook(choose)
    try:
        yield found
    finally:
        chosen.remove()


def _cast(states: "torch.Tensor", weight: "torch.Tensor") -> "torch.Tensor":
    """The states in the dtype in which they are projected: within autocast, its dtype."""
    import torch

    kind = states.device.type
    mixed = torch.is_autocast_enabled(kind)
    return states.to(torch.get_autocast_dtype(kind) if mixed else weight.dtype)


def of(model: "PreTrainedModel") -> Any:
    """The module that projects to the vocabulary.

    Raises:
        InputError: the model has none.
    """
    projection: Any = model.get_output_embeddings()
    if projection is None:
        raise InputError(f"{type(model).__name__} has no projection to a vocabulary: give a causal language model.")
    return projection


def head_of(model: "PreTrainedModel") -> Head:
    """How `model` computes its logits, according to its config, if a short pass confirms it.

    A list of architectures would become outdated. Instead, the model reads hidden states that give large logits. If
    these differ from the head's, the model computes its logits itself.

    Raises:
        InputError: the model has no projection to a vocabulary.
    """
    import torch

    projection, config = of(model), model.config.get_text_config()
    if type(projection) is not torch.nn.Linear:
        return Head()
    scale = math.prod(float(getattr(config, name, None) or 1) for name in MULTIPLIERS)
    scale /= math.prod(float(getattr(config, name, None) or 1) for name in DIVISORS)
    head = Head(projection, scale, getattr(config, SOFT_CAP, None))
    return head if _agrees(model, head) else Head()


def _agrees(model: "PreTrainedModel", head: Head) -> bool:
    """Whether `model` computes the same logits as `head`, up to rounding."""
    import torch

    projection = of(model)
    drawn = torch.randn(PROBED, projection.in_features, generator=torch.Generator().manual_seed(0))
    training = model.training
    model.eval()
    with torch.no_grad():
        states = drawn.to(projection.weight.device, projection.weight.dtype)
        states *= LARGEST / head.finish(head.project(states, head.weight(states))).abs().max()
        replaced = projection.register_forward_pre_hook(lambda module, given: (states[None],))
        try:
            tokens = torch.zeros(1, PROBED, dtype=torch.long, device=model.device)
            # No layer reaches the projection, so fewer give the same logits sooner.
            own = on_first_layers(model, lambda: model(input_ids=tokens, use_cache=False).logits.float())
        finally:
            replaced.remove()
            model.train(training)
        ours = torch.cat([logits for _, logits in head.pieces(states)])
    if own.shape != (1, *ours.shape):
        return False
    return bool((own[0] - ours).abs().max() <= torch.finfo(states.dtype).eps ** 0.75 * ours.abs().max())
