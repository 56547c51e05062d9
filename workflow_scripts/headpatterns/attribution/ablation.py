"""What a sample loses without some heads of the model: the truth that an activation pattern estimates.

A head is ablated by taking its output o = A·V times 0 before the output projection, where patterns are recorded too.
Taken times 1 − ε instead, the loss changes by −ε Σ_ij A_ij ∂L/∂A_ij to first order: without its sign, `abs_of_sum` of
Eq. 2 is the slope at which the ablation of a head begins.
"""

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from transformers import PreTrainedModel

from headpatterns.attribution import adapters, inputs, memory, passes, selftest
from headpatterns.attribution.blockwise import attend
from headpatterns.attribution.inputs import Sample
from headpatterns.attribution.interface import attending_by
from headpatterns.attribution.layer_inputs import named, number
from headpatterns.attribution.reductions import HeadOutputs
from headpatterns.errors import InputError
from headpatterns.models import loading as models
from headpatterns.models import projection


@dataclass(frozen=True)
class Pair:
    """A sample under a setting of the heads; the passes take it for a sample.

    Attributes:
        sample: what is read.
        setting: the index of the setting.
    """

    sample: Sample
    setting: int

    @property
    def id(self) -> str:
        """The sample's."""
        return self.sample.id

    @property
    def input_ids(self) -> list[int]:
        """The sample's."""
        return self.sample.input_ids

    @property
    def labels(self) -> list[int]:
        """The sample's."""
        return self.sample.labels

    @property
    def response_tokens(self) -> int:
        """The sample's."""
        return self.sample.response_tokens


def ablated_losses(
    model: PreTrainedModel,
    samples: Iterable[Any] | Mapping[str, Any],
    kept: np.ndarray,
    *,
    tokenizer: Any = None,
    token_budget: int | str = memory.AUTO,
    progress: Callable[[int, int], None] | None = None,
) -> Float64[np.ndarray, "settings samples"]:
    """Loss of every sample under every setting of the heads.

    A batch holds pairs of a sample and a setting, each row with heads of its own removed, and nothing is
    differentiated. All layers are computed for each pair, also those below the first ablated head, which settings have
    in common: transformers has no way into the midst of a model, where masks, positions and caches are its own affair.

    Args:
        model: a causal language model of transformers; it is left as it was found.
        samples: as `activation_patterns` takes them; their order is kept.
        kept: [settings, layers, query heads], False where a head is ablated; a number is what its output is taken
            times.
        tokenizer: for rows, as there.
        token_budget: tokens a batch may hold, padding included; a longer sample is a batch of its own. `auto` takes
            what activation patterns, which need more memory, would take.
        progress: called with (pairs done, pairs in all) after each batch.

    Returns:
        float64 [settings, samples], each the mean negative log-likelihood of the response tokens, EOS included (nats).

    Raises:
        InputError: a sample without response tokens, beyond the model's positions or beyond its memory, a loss that is
            not finite, a `kept` of another shape, or a model whose attention or logits cannot be reached.
    """
    labelled = inputs.samples(samples, tokenizer)
    passes.check_samples(model, labelled)
    layers, shape = models.attention_layers(model), models.heads_of(model)
    if kept.ndim != 3 or kept.shape[1:] != shape:
        raise InputError(
            f"the heads to keep have the shape {list(kept.shape)}, but {type(model).__name__} has {shape[0]} layers of "
            f"{shape[1]} heads: give [settings, {shape[0]}, {shape[1]}]."
        )
    factors = torch.as_tensor(kept, dtype=torch.float32, device=model.device)
    # Pairs of a sample follow each other, so that a batch is padded little.
    pairs = [Pair(sample, setting) for sample in labelled for setting in range(len(kept))]
    losses = np.empty(len(pairs), dtype=np.float64)
    done = 0

    def keep(indices: list[int], found: Float64[np.ndarray, " batch"]) -> None:
        nonlocal done
        losses[indices] = found
        done += len(indices)
        if progress:
            progress(done, len(pairs))

    with passes.frozen(model):
        head = projection.head_of(model)
        budget = memory.token_budget(token_budget, model, labelled, functools.partial(passes.backward, model, head))
        beginning = passes.beginning(labelled, model)
        own_logits = passes.own_logits(model, beginning)
        with torch.no_grad(), _scaling(model) as scales:
            scales.update(zip(layers, torch.ones(shape[0], 1, shape[1], device=model.device), strict=True))
            passes.check_logits(model, head, beginning, own_logits)
            _check_reached(model, scales)

            def whole(batch: Sequence[Sample]) -> tuple[Float64[np.ndarray, " batch"]]:
                scales.update(zip(layers, torch.ones(shape[0], 1, shape[1], device=model.device), strict=True))
                return (passes.forward(model, head, batch)[0],)

            budget = selftest.token_budget(model, budget, memory.plan(model, pairs, budget), whole)

            def run(batch: Sequence[Pair]) -> Float64[np.ndarray, " batch"]:
                scales.update(zip(layers, factors[[pair.setting for pair in batch]].unbind(1), strict=True))
                return passes.forward(model, head, batch)[0]

            memory.each_batch(model, pairs, memory.plan(model, pairs, budget), run, keep)
    return losses.reshape(len(labelled), len(kept)).T


@dataclass(frozen=True)
class Ablations:
    """What the heads of a model are worth to samples; losses as `ablated_losses` gives them.

    Attributes:
        losses: float64 [samples], with all heads.
        changes: float64 [samples, layers, query heads], loss with that head ablated − loss.
        groups: float64 [2 + draws, sizes, samples], the same with groups of heads ablated: those that rank highest,
            those that rank lowest, and random ones, a row for each draw.
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
) -> Ablations:
    """Ablate every head alone, and groups of heads by their rank and at random.

    Args:
        model: a causal language model of transformers; it is left as it was found.
        samples: tokenized instructions; their order is kept.
        ranking: [layers, query heads], by which heads are chosen, such as a pattern. One taken of the same samples
            shares their noise, and seems to rank better than it does.
        sizes: heads in a group.
        draws: random groups of each size.
        seed: decides on the random groups, together with the number of heads and nothing else.
        token_budget: as in `ablated_losses`.
        progress: as there.

    Raises:
        InputError: as there, or a size beyond the heads of the model.
    """
    heads = ranking.size
    if max(sizes) > heads:
        raise InputError(f"{max(sizes)} heads cannot be ablated of {type(model).__name__}, which has {heads} in all.")
    together = groups(orders(ranking, draws, seed), sizes)
    alone = np.eye(heads, dtype=bool)
    wanted = np.concatenate([np.zeros((1, heads), dtype=bool), alone, together.reshape(-1, heads)])
    # The head that ranks highest is a head alone as well, and all heads together are the same in any order.
    removed, places = np.unique(wanted, axis=0, return_inverse=True)
    kept = ~removed.reshape(-1, *ranking.shape)
    losses = ablated_losses(model, samples, kept, token_budget=token_budget, progress=progress)[places.ravel()]
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
    """The first heads of each order, as many as each size says: bool [orders, sizes, heads]."""
    return np.argsort(orders, axis=1)[:, None, :] < np.array(sizes)[:, None]


@contextmanager
def _scaling(model: PreTrainedModel) -> Iterator[dict[int, Float[torch.Tensor, "batch heads"]]]:
    """Let each layer take the output of its heads times what the yielded dictionary says: layer index → [B, H].

    A layer takes its entry out, so that what is left after a pass belongs to layers that were not reached.

    Raises:
        InputError: the attention of the model cannot be replaced; in a pass, a layer attends twice.
    """
    scales: dict[int, Float[torch.Tensor, "batch heads"]] = {}

    def scaled(layer: int, output: HeadOutputs) -> HeadOutputs:
        if layer not in scales:
            raise InputError(
                f"{named(layer)} of {type(model).__name__} attends more than once in a pass, so its heads cannot "
                "be told apart: use an architecture with one attention a layer."
            )
        return output * scales.pop(layer)[:, None, :, None].to(output.dtype)

    def attention(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **settings: Any,
    ) -> tuple[torch.Tensor, None]:
        output, _ = attend(module, query, key, value, attention_mask, **settings)
        return scaled(number(module), output), None

    with adapters.watched(model, scaled) if adapters.fits(model) else attending_by(model, attention):
        yield scales


def _check_reached(model: PreTrainedModel, scales: dict[int, Float[torch.Tensor, "batch heads"]]) -> None:
    """Refuse a model with layers that did not take their scales: ablating their heads would change nothing."""
    if scales:
        raise InputError(
            f"layers {sorted(scales)} of {type(model).__name__} did not attend: their attention does not go through "
            "transformers' AttentionInterface, so their heads cannot be ablated; use an architecture that does."
        )
