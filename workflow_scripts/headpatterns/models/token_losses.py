"""The cross entropy of tokens and its gradients, with logits of a few tokens at a time.

The forward pass computes each piece of the logits, and its gradients, and then frees it. The backward pass uses these
gradients of states and weights. They are exact, and equal to those of all logits at once, except for the order in which
contributions of pieces to a weight are added. Nothing is computed twice.
"""

from typing import Any

import torch
from jaxtyping import Float, Float32, Int
from torch.autograd.function import once_differentiable

from headpatterns.models.projection import Head

States = Float[torch.Tensor, "tokens hidden"]


def weighed(
    head: Head,
    states: States,
    targets: Int[torch.Tensor, " tokens"],
    weights: Float32[torch.Tensor, " tokens"],
) -> tuple[Float32[torch.Tensor, ""], Float32[torch.Tensor, " tokens"]]:
    """Σ w·ℓ over tokens, and their losses ℓ = -log softmax at the targets, which have no gradient.

    The sum has gradients with respect to the states and the parameters of the projection, if they require them.
    `states` come from `Predictions.states`. Logits, losses and sums over pieces are float32, for every dtype of the
    states.
    """
    parameters = () if head.projection is None or not torch.is_grad_enabled() else tuple(head.projection.parameters())
    found: tuple[torch.Tensor, torch.Tensor] = _Weighed.apply(  # type: ignore[no-untyped-call]  # torch has no types
        head, states if torch.is_grad_enabled() else states.detach(), targets, weights, *parameters
    )
    return found


class _Weighed(torch.autograd.Function):
    """`weighed` and its gradients; the parameters are W and, if there is one, b."""

    @staticmethod
    def forward(
        ctx: Any,
        head: Head,
        states: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor,
        *parameters: torch.nn.Parameter,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum and the losses, and the gradients of the sum, for the backward pass."""
        of_states, of_parameters = ctx.needs_input_grad[1], ctx.needs_input_grad[4:]
        weight, places = head.weight(states), head.places(states)
        losses = weights.new_empty(len(targets))
        by_states = torch.empty_like(states) if of_states else None
        by_parameters: list[torch.Tensor | None] = [None] * len(parameters)
        for place in places:
            logits = head.finish(head.project(states[place], weight))
            if not (of_states or any(of_parameters)):
                losses[place] = _losses(logits, targets[place])[0]
                continue
            losses[place], slope = _differentiated(head, logits, targets[place], weights[place])
            slope = slope.to(states.dtype)
            if by_states is not None:
                by_states[place] = slope if weight is None else slope @ weight
            for number, parameter in enumerate(parameters):
                if of_parameters[number]:
                    given = states[place] if parameter.dim() == 2 else None
                    by_parameters[number] = _added(by_parameters[number], slope, given, len(places) > 1)
            del logits, slope  # otherwise they stay in memory with the next piece
        ctx.gradients = by_states, *by_parameters
        ctx.mark_non_differentiable(losses)
        return (losses * weights).sum(), losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients times the gradient of the sum."""
        # No other references are kept, so the only gradient of a parameter becomes its `grad` without a copy.
        (by_states, *by_parameters), ctx.gradients = ctx.gradients, None
        for found in (by_states, *by_parameters):
            if found is not None:
                found.mul_(scale)
        return None, by_states, None, None, *by_parameters


def _losses(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """-log softmax at the targets, [tokens], and Σ exp(logits - largest); its terms overwrite the logits."""
    logits -= logits.amax(dim=-1, keepdim=True)
    chosen = logits.gather(1, targets[:, None]).squeeze(1)
    sums = logits.exp_().sum(dim=-1)
    return sums.log() - chosen, sums


def _differentiated(
    head: Head, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses of tokens, and the derivative of Σ w·ℓ by W·h + b, [tokens, vocabulary], which overwrites the logits."""
    bend = head.slope(logits)
    losses, sums = _losses(logits, targets)
    logits *= (weights / sums)[:, None]  # gradient of logits: w times the probabilities, minus w at the targets
    logits[torch.arange(len(logits), device=logits.device), targets] -= weights
    if head.cap is not None or head.scale != 1:
        logits *= bend
    return losses, logits


def _added(total: torch.Tensor | None, slope: torch.Tensor, states: torch.Tensor | None, more: bool) -> torch.Tensor:
    """The gradient of W, or without states of b, plus the share of a piece; in float32 if there are more pieces."""
    if total is not None and states is not None and total.dtype == states.dtype:
        return total.addmm_(slope.T, states)
    share = slope.sum(dim=0) if states is None else slope.T @ states
    if total is not None:
        return total.add_(share)
    return share.float() if more else share
