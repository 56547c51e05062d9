"""The loss as the output of a head is multiplied by s, from 1 down to 0: losses, slopes and their integral.

With o the output of a head, s its gate and L(s) the loss, dL/ds = Σ_i <o_i, ∂L/∂(s·o_i)>. At s = 1 this is the sum
Σ_ij A_ij G_ij of Eq. 2 with its sign. Its integral from 0 to 1 over the gate of one head alone is L(1) − L(0). Zero
ablation measures this difference with the opposite sign.

Hao et al. (2021, Self-Attention Attribution) scale all heads of a layer together, A ⊙ ∫ ∂L/∂A at αA dα, and sum over
A. Because o is linear in A, the sum for a head is ∫ Σ_i <o_i, ∂L/∂(α·o_i)> dα, the same integral with one gate for the
layer (`integrated_gates`). They use 20 steps of α. Here Boole's rule uses five doses, which is exact for polynomials of
degree 5. The study `head_scores` reports the error: the difference between ∫ dL/ds ds and L(1) − L(0).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64
from transformers import PreTrainedModel

from headpatterns.attribution import changed, memory, passes
from headpatterns.attribution.boole import DOSES, integrated
from headpatterns.attribution.changed import Change, Pair, Progress
from headpatterns.attribution.inputs import Sample
from headpatterns.attribution.parts import Parts
from headpatterns.models import loading as models
from headpatterns.models import projection

Keep = Callable[[list[Pair], Float64[np.ndarray, " batch"], Float32[np.ndarray, "batch layers heads"]], None]


@dataclass(frozen=True)
class Response:
    """Losses of samples as one head alone is scaled, and their slopes.

    Attributes:
        changes: float64 [doses, samples, layers, query heads], loss at that dose − loss.
        slopes: of the same shape, dL/ds of the head at that dose, in nats.
    """

    changes: Float64[np.ndarray, "doses samples layers heads"]
    slopes: Float64[np.ndarray, "doses samples layers heads"]


def dose_response(
    model: PreTrainedModel,
    samples: Sequence[Sample],
    *,
    doses: Sequence[float] = DOSES,
    token_budget: int | str = memory.AUTO,
    progress: Progress | None = None,
    finished: Parts | None = None,
) -> Response:
    """Scale each head alone by every dose.

    Args:
        model: a causal language model of transformers; it is left as it was found.
        samples: tokenized instructions; their order is kept.
        doses: in ascending order, the last is 1.
        token_budget: as in `changed.each_pair`.
        progress: as there.
        finished: as there.

    Raises:
        InputError: as there.
    """
    layers, heads = models.heads_of(model)
    count = layers * heads
    scaled = np.ones((len(doses) - 1, count, count))
    for place, dose in enumerate(doses[:-1]):
        np.fill_diagonal(scaled[place], dose)
    losses = np.empty((len(doses), len(samples), count))
    slopes = np.empty_like(losses)

    def keep(
        pairs: list[Pair], found: Float64[np.ndarray, " batch"], own: Float32[np.ndarray, "batch layers heads"]
    ) -> None:
        for pair, loss, of_heads in zip(pairs, found.tolist(), own.reshape(len(own), -1), strict=True):
            dose, head = divmod(pair.setting, count)
            whole = dose == len(doses) - 1
            losses[dose, pair.place, slice(None) if whole else head] = loss
            slopes[dose, pair.place, slice(None) if whole else head] = of_heads if whole else of_heads[head]

    settings = np.concatenate([scaled.reshape(-1, count), np.ones((1, count))]).reshape(-1, layers, heads)
    _slopes(model, samples, settings, keep, token_budget, progress, finished)
    shape = (len(doses), len(samples), layers, heads)
    return Response((losses - losses[-1]).reshape(shape), slopes.reshape(shape))


def integrated_gates(
    model: PreTrainedModel,
    samples: Sequence[Sample],
    *,
    doses: Sequence[float] = DOSES,
    token_budget: int | str = memory.AUTO,
) -> Float64[np.ndarray, "samples layers heads"]:
    """Attribution of every head after Hao et al. (2021), all heads of its layer scaled together, in nats.

    Arguments and errors are those of `dose_response`; there are 4 n + 1 equally spaced doses from 0 to 1.
    """
    layers, heads = models.heads_of(model)
    settings = np.ones((len(doses) - 1, layers, layers, heads))
    for place, dose in enumerate(doses[:-1]):
        settings[place, range(layers), range(layers)] = dose
    slopes = np.empty((len(doses), len(samples), layers, heads))

    def keep(
        pairs: list[Pair], found: Float64[np.ndarray, " batch"], own: Float32[np.ndarray, "batch layers heads"]
    ) -> None:
        for pair, of_pair in zip(pairs, own, strict=True):
            dose, layer = divmod(pair.setting, layers)
            which = slice(None) if dose == len(doses) - 1 else layer
            slopes[dose, pair.place, which] = of_pair[which]

    every = np.concatenate([settings.reshape(-1, layers, heads), np.ones((1, layers, heads))])
    _slopes(model, samples, every, keep, token_budget, None, None)
    return integrated(slopes)


def _slopes(
    model: PreTrainedModel,
    samples: Sequence[Sample],
    settings: Float64[np.ndarray, "settings layers heads"],
    keep: Keep,
    token_budget: int | str,
    progress: Progress | None,
    finished: Parts | None,
) -> None:
    """Losses of all pairs, and their derivatives with respect to the factor of each head's output."""
    factors = torch.as_tensor(settings, dtype=torch.float32, device=model.device)

    @torch.enable_grad()
    def run(
        head: projection.Head, changes: dict[int, Change], batch: list[Pair]
    ) -> tuple[Float64[np.ndarray, " batch"], Float32[np.ndarray, "batch layers heads"]]:
        scales = [own.clone().requires_grad_() for own in factors[[pair.setting for pair in batch]].unbind(1)]
        changes.update(changed.scaling(model, scales))
        losses, total, _ = passes.forward(model, head, batch)
        slopes = torch.autograd.grad(total, scales)
        return losses, torch.stack(slopes, dim=1).float().cpu().numpy()

    changed.each_pair(
        model, samples, len(settings), run, keep, token_budget=token_budget, progress=progress, finished=finished
    )
