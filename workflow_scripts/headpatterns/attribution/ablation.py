"""Change of the loss of a sample without some heads of the model: the quantity that an activation pattern estimates.

A head is ablated by multiplying its output o = A·V by 0 before the output projection, where patterns are recorded too.
If o is multiplied by 1 − ε instead, the loss changes by −ε Σ_ij A_ij ∂L/∂A_ij to first order. So `abs_of_sum` of Eq. 2
is the magnitude of the slope at which the ablation of a head begins.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from transformers import PreTrainedModel

from headpatterns.attribution import changed, inputs, memory, passes
from headpatterns.attribution.changed import Pair
from headpatterns.attribution.inputs import Sample
from headpatterns.attribution.parts import Keeping, Parts, nowhere
from headpatterns.errors import InputError
from headpatterns.models import loading as models
from headpatterns.models import projection


def ablated_losses(
    model: PreTrainedModel,
    samples: Iterable[Any] | Mapping[str, Any],
    kept: np.ndarray,
    *,
    tokenizer: Any = None,
    token_budget: int | str = memory.AUTO,
    progress: Callable[[int, int], None] | None = None,
    finished: Parts | None = None,
) -> Float64[np.ndarray, "settings samples"]:
    """Loss of every sample under every setting of the heads, without gradients.

    Args:
        model: a causal language model of transformers; it is left as it was found.
        samples: as `activation_patterns` takes them; their order is kept.
        kept: [settings, layers, query heads], False where a head is ablated; a number is a factor of its output.
        tokenizer: for rows, as there.
        token_budget: as in `changed.each_pair`.
        progress: as there.
        finished: as there.

    Returns:
        float64 [settings, samples], each the mean negative log-likelihood of the response tokens, EOS included (nats).

    Raises:
        InputError: as there, or a `kept` of another shape.
    """
    labelled = inputs.samples(samples, tokenizer)
    shape = models.heads_of(model)
    if kept.ndim != 3 or kept.shape[1:] != shape:
        raise InputError(
            f"the heads to keep have the shape {list(kept.shape)}, but {type(model).__name__} has {shape[0]} layers of "
            f"{shape[1]} heads: give [settings, {shape[0]}, {shape[1]}]."
        )
    factors = torch.as_tensor(kept, dtype=torch.float32, device=model.device)
    losses = np.empty((len(kept), len(labelled)), dtype=np.float64)

    def run(
        head: projection.Head, changes: dict[int, changed.Change], batch: Sequence[Pair]
    ) -> tuple[Float64[np.ndarray, " batch"]]:
        changes.update(changed.scaling(model, factors[[pair.setting for pair in batch]].unbind(1)))
        return (passes.forward(model, head, batch)[0],)

    def keep(pairs: list[Pair], found: Float64[np.ndarray, " batch"]) -> None:
        losses[[pair.setting for pair in pairs], [pair.place for pair in pairs]] = found

    changed.each_pair(
        model, labelled, len(kept), run, keep, token_budget=token_budget, progress=progress, finished=finished
    )
    return losses


@dataclass(frozen=True)
class Ablations:
    """Effects of the heads of a model on the loss of samples, in nats as in `ablated_losses`.

    Attributes:
        losses: float64 [samples], with all heads.
        changes: float64 [samples, layers, query heads], loss with that head ablated − loss.
        groups: float64 [2 + draws, sizes, samples], the same with groups of heads ablated: the heads that rank highest,
            the heads that rank lowest, and random heads, with a row for each draw.
    """

    losses: Float64[np.ndarray, " samples"]
    changes: Float64[np.ndarray, "samples layers heads"]
    groups: Float64[np.ndarray, "orders sizes samples"]


def ablations(
    model: PreTrainedModel,
    samples: Sequence[Sample],
    ranking: Float[np.ndarray, "layers heads"],
    sizes: Sequence[int],
    draws: int,
    seed: str,
    *,
    token_budget: int | str = memory.AUTO,
    progress: Callable[[int, int], None] | None = None,
    keeping: Keeping = nowhere,
) -> Ablations:
    """Ablate every head alone, and groups of heads by their rank and at random.

    Args:
        model: a causal language model of transformers; it is left as it was found.
        samples: tokenized instructions; their order is kept.
        ranking: [layers, query heads], by which heads are chosen, such as a pattern. A pattern of the same samples
            shares their noise, and seems to rank heads better than it does.
        sizes: heads in a group.
        draws: random groups of each size.
        seed: determines the random groups, together with the number of heads and nothing else.
        token_budget: as in `ablated_losses`.
        progress: as there.
        keeping: gives the finished passes, under a name that depends on the ablated heads.

    Raises:
        InputError: as there, or a size beyond the heads of the model.
    """
    heads = ranking.size
    if max(sizes) > heads:
        raise InputError(
            f"{max(sizes)} heads of {type(model).__name__} cannot be ablated, because it has only {heads}: give "
            f"at most {heads}."
        )
    together = groups(orders(ranking, draws, seed), sizes)
    alone = np.eye(heads, dtype=bool)
    wanted = np.concatenate([np.zeros((1, heads), dtype=bool), alone, together.reshape(-1, heads)])
    # A group of one head is also measured alone, and all heads together are the same group in any order.
    removed, places = np.unique(wanted, axis=0, return_inverse=True)
    kept = ~removed.reshape(-1, *ranking.shape)
    finished = keeping(f"zero-{hashlib.sha256(removed.tobytes()).hexdigest()[:16]}")
    every = ablated_losses(model, samples, kept, token_budget=token_budget, progress=progress, finished=finished)
    losses = every[places.ravel()]
    changes = losses[1:] - losses[0]
    return Ablations(
        losses[0],
        changes[:heads].T.reshape(-1, *ranking.shape),
        changes[heads:].reshape(*together.shape[:2], -1),
    )


def orders(ranking: Float[np.ndarray, "layers heads"], draws: int, seed: str) -> Int[np.ndarray, "orders layers*heads"]:
    """Orders of all heads, flat indices [2 + draws, layers × heads]: from the highest, from the lowest, and random."""
    numbers = [int(hashlib.sha256(f"{seed}:{draw}".encode()).hexdigest(), 16) for draw in range(draws)]
    return np.stack([
        np.argsort(-ranking.ravel(), kind="stable"),
        np.argsort(ranking.ravel(), kind="stable"),
        *(np.random.default_rng(number).permutation(ranking.size) for number in numbers),
    ])  # fmt: skip


def groups(orders: Int[np.ndarray, "orders heads"], sizes: Sequence[int]) -> Bool[np.ndarray, "orders sizes heads"]:
    """Whether a head is among the first ones of each order, as many as each size: bool [orders, sizes, heads]."""
    return np.argsort(orders, axis=1)[:, None, :] < np.array(sizes)[:, None]
