"""Gradient features of samples by which LESS selects training data, and the warm-up that precedes them.

The method is that of Xia et al. 2024, "LESS: Selecting Influential Data for Targeted Instruction Tuning" (arXiv
2402.04333), as in their code (princeton-nlp/LESS, data_selection/collect_grad_reps.py). Adapters are trained on a
random part of the pool. At the end of each epoch they are kept, with the moments of Adam. At each such checkpoint, the
feature of a candidate is the update that Adam would compute from its gradient g,
(β₁m + (1 − β₁)g) / √(β₂v + (1 − β₂)g² + ε). The feature of a sample of the target is g itself. Both are projected by
random signs and divided by their norm. The losses are means over the tokens of each response.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from transformers import PreTrainedModel

from headpatterns.attribution import passes
from headpatterns.attribution.inputs import Sample
from headpatterns.attribution.random_projection import project
from headpatterns.attribution.sample_gradients import PerSample
from headpatterns.data.batching import batches
from headpatterns.data.splitting import rank
from headpatterns.errors import InputError
from headpatterns.models import independence, projection
from headpatterns.training import adapters
from headpatterns.training.recipe import Recipe

ADAPTERS = "studies.selection.less.lora"
"""The key of the config that describes the adapters."""

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""β₁, β₂ and ε of Adam."""

TOKENS = 2048
"""Tokens of a batch, padding included. Larger batches are no faster on a processor, and take more memory."""

BUFFER_BYTES = 256 * 1024**2
"""Bytes of gradients that are projected together, because drawing the signs takes as long for one as for all."""

Weights = Float[torch.Tensor, " weights"]


@dataclass(frozen=True)
class Checkpoint:
    """Adapters at the end of an epoch; each vector covers all of their weights.

    Attributes:
        weights: the weights themselves.
        mean, square: the moments m and v of Adam.
        learning_rate: the mean over the steps of the epoch.
    """

    weights: Weights
    mean: Weights
    square: Weights
    learning_rate: float


@dataclass(frozen=True)
class Found:
    """The results of `features`.

    Attributes:
        features: by the name of a set [checkpoints, samples, dimension], rows of norm 1 (0 where there is no gradient).
        learning_rates: of the checkpoints.
        weights: of the adapters.
        seconds: of the warm-up (`warm_up`), and of each set by its name.
    """

    features: dict[str, Float32[np.ndarray, "checkpoints samples dimension"]]
    learning_rates: list[float]
    weights: int
    seconds: dict[str, float] = field(default_factory=dict)


def features(
    model: PreTrainedModel,
    warm_up_on: Sequence[Sample],
    candidates: Mapping[str, Sequence[Sample]],
    targets: Mapping[str, Sequence[Sample]],
    recipe: Recipe,
    dimension: int,
) -> Found:
    """Features of candidates and of samples of targets, after a warm-up.

    Args:
        model: frozen or not; adapters stay in it.
        warm_up_on: samples that adapters are trained on.
        candidates: sets of samples whose features are updates of Adam, by name.
        targets: sets of samples whose features are plain gradients, by other names.
        recipe: of the warm-up: `lora`, whole `epochs`, `global_batch_size`, `learning_rate`, `max_grad_norm` and
            `seed`, which also determines the signs of the projection.
        dimension: of the features, a multiple of 8.

    Raises:
        InputError: no sample to warm up on, one that cannot be used, adapters that do not fit the model, fewer weights
            than dimensions, or a gradient that is not finite.
    """
    if not warm_up_on:
        raise InputError("LESS has no sample for the warm-up: raise studies.selection.less.warm_up.")
    check(model, recipe, dimension)
    for samples in (warm_up_on, *candidates.values(), *targets.values()):
        passes.check_samples(model, samples)
    own: Any = adapters.put_in(model, recipe, ADAPTERS).get_base_model()
    watched = PerSample({name: module for name, module in own.named_modules() if is_factor(name, module)})
    head = projection.head_of(own)
    started = time.monotonic()
    checkpoints = warm_up(own, head, watched, warm_up_on, recipe)
    seconds = {"warm_up": time.monotonic() - started}
    found: dict[str, np.ndarray] = {}
    for name, samples in {**candidates, **targets}.items():
        started = time.monotonic()
        found[name] = np.stack(
            [_features(own, head, watched, samples, one, name in candidates, dimension, recipe.seed)
             for one in checkpoints]
        )  # fmt: skip
        seconds[name] = time.monotonic() - started
    return Found(found, [one.learning_rate for one in checkpoints], watched.size, seconds)


def check(model: PreTrainedModel, recipe: Recipe, dimension: int) -> None:
    """Refuse adapters that do not fit the model, or have fewer weights than dimensions, before anything is read.

    Raises:
        InputError: naming the missing module, or the dimension.
    """
    assert recipe.lora is not None
    adapters.check_targets(model, recipe.lora, ADAPTERS)
    weights = adapters.weights(model, recipe.lora)
    if dimension > weights:
        raise InputError(
            f"studies.selection.less.dimension is {dimension}, but the adapters of {type(model).__name__} have "
            f"{weights} weights: lower it, or raise studies.selection.less.lora.rank."
        )


def is_factor(name: str, module: torch.nn.Module) -> bool:
    """Whether a module is a factor of an adapter of PEFT."""
    return isinstance(module, torch.nn.Linear) and name.split(".")[-2:-1] in (["lora_A"], ["lora_B"])


def warm_up(
    model: PreTrainedModel, head: projection.Head, watched: PerSample, samples: Sequence[Sample], recipe: Recipe
) -> list[Checkpoint]:
    """Train the adapters, and return them as they are at the end of each epoch.

    The learning rate falls linearly to 0. The order of an epoch is random, and its last step may have fewer samples.
    """
    parameters = [module.weight for module in watched.modules.values()]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, betas=BETAS, eps=EPSILON, weight_decay=0.0)
    epochs, size = int(recipe.epochs), recipe.global_batch_size
    starts = range(0, len(samples), size)
    rates = recipe.learning_rate * (1 - np.arange(epochs * len(starts)) / (epochs * len(starts)))
    turn = independence.turn(model.config)
    model.train()
    found = []
    for epoch, own in enumerate(rates.reshape(epochs, len(starts))):
        order = sorted(samples, key=lambda sample: rank(recipe.seed, f"{epoch} {sample.id}"))
        for start, rate in zip(starts, own.tolist(), strict=True):
            step = order[start : start + size]
            for indices in batches([len(one.input_ids) for one in step], TOKENS, turn):
                _, total, _ = passes.forward(model, head, [step[index] for index in indices])
                (total / len(step)).backward()
            torch.nn.utils.clip_grad_norm_(parameters, recipe.max_grad_norm)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
            optimizer.zero_grad()
        states = [optimizer.state[parameter] for parameter in parameters]
        mean, square = (
            # An adapter that reads no token has no moments.
            _flat([one.get(key, torch.zeros_like(its)) for one, its in zip(states, parameters, strict=True)])
            for key in ("exp_avg", "exp_avg_sq")
        )
        found.append(Checkpoint(_flat(parameters), mean, square, learning_rate=float(own.mean())))
    return found


def _flat(tensors: Sequence[torch.Tensor]) -> Weights:
    """A copy of all numbers of some tensors as one vector."""
    return torch.cat([one.detach().float().flatten() for one in tensors])


def adam(gradients: Float[torch.Tensor, "samples weights"], checkpoint: Checkpoint) -> torch.Tensor:
    """The update that Adam would compute from each gradient, without bias correction; it overwrites the gradients."""
    squares = gradients.square().mul_(1 - BETAS[1]).add_(checkpoint.square, alpha=BETAS[1]).add_(EPSILON)
    return gradients.mul_(1 - BETAS[0]).add_(checkpoint.mean, alpha=BETAS[0]).div_(squares.sqrt_())


def _features(
    model: PreTrainedModel,
    head: projection.Head,
    watched: PerSample,
    samples: Sequence[Sample],
    checkpoint: Checkpoint,
    by_adam: bool,
    dimension: int,
    seed: int,
) -> Float32[np.ndarray, "samples dimension"]:
    """The features of samples at one checkpoint."""
    with torch.no_grad():
        for name, module in watched.modules.items():
            module.weight.copy_(checkpoint.weights[watched.places[name]].view_as(module.weight))
    made = np.zeros((len(samples), dimension), dtype=np.float32)
    waiting: list[torch.Tensor] = []
    rows: list[int] = []
    with passes.frozen(model), watched.watching():
        for indices in batches([len(one.input_ids) for one in samples], TOKENS, independence.turn(model.config)):
            gradients = watched.of(model, head, [samples[index] for index in indices])
            waiting.append(adam(gradients, checkpoint) if by_adam else gradients)
            rows += indices
            if len(rows) * watched.size * gradients.element_size() >= BUFFER_BYTES:
                made[rows] = _directions(waiting, dimension, seed)
                waiting, rows = [], []
    if rows:
        made[rows] = _directions(waiting, dimension, seed)
    return made


def _directions(
    gradients: Sequence[torch.Tensor], dimension: int, seed: int
) -> Float32[np.ndarray, "samples dimension"]:
    """Projected gradients, divided by their norms where these are not 0."""
    projected: np.ndarray = torch.nn.functional.normalize(project(gradients, dimension, seed), dim=1).cpu().numpy()
    return projected
