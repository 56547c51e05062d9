"""Per-sample activation patterns of a model: the frozen forward and backward pass around the recording attention."""

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from transformers import PreTrainedModel

from headpatterns.attribution import inputs, memory, passes, selftest
from headpatterns.attribution.inputs import Sample
from headpatterns.attribution.patterns import Patterns, check_reductions
from headpatterns.attribution.recording import Recorded, recording
from headpatterns.attribution.watching import Watch
from headpatterns.errors import InputError
from headpatterns.models import loading as models
from headpatterns.models import projection

Progress = Callable[[int, int], None]

BatchValues = Float32[np.ndarray, "batch reductions layers heads"]
BatchLosses = Float64[np.ndarray, " batch"]


def activation_patterns(
    model: PreTrainedModel,
    samples: Iterable[Any] | Mapping[str, Any],
    *,
    tokenizer: Any = None,
    reduction: str = "abs_of_sum",
    also: Sequence[str] = (),
    token_budget: int | str = memory.AUTO,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> Patterns:
    """Activation pattern of every sample (Eq. 2), for every layer and query head.

    The loss is per sample and parameters are frozen. So a pattern depends neither on the other samples of a batch nor
    on padding, and costs one forward pass and one backward pass through activations. Models for which `selftest` finds
    such a dependence read one sample at a time. Models with LongRoPE read short and long samples in separate batches.
    For every dtype of the model, logits, losses and the sums of products of Eq. 2 are computed in float32.

    >>> from transformers import AutoModelForCausalLM, LlamaConfig
    >>> config = LlamaConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
    ...                      vocab_size=100)
    >>> model = AutoModelForCausalLM.from_config(config)
    >>> sample = {"input_ids": [5, 6, 7, 8, 9], "labels": [-100, -100, 7, 8, 9]}
    >>> patterns = activation_patterns(model, [sample, sample])
    >>> patterns.values.shape, patterns.mean.shape, patterns.losses.shape
    ((2, 2, 4), (2, 4), (2,))

    Args:
        model: a causal language model of transformers; it is left as it was found.
        samples: tokenized samples, rows with `prompt` and `response` (and `tokenizer`), or batches with `input_ids` and
            `labels` as collators make them (see `inputs.samples`); their order is kept.
        tokenizer: for rows, which are not cut.
        reduction: of `values` and `mean`, one of `REDUCTIONS`.
        also: further reductions from the same passes. `Patterns.by` returns them, and `Patterns.signed` the sums of
            `abs_of_sum` with their sign.
        token_budget: tokens a batch may hold, padding included; a longer sample is a batch of its own. `auto` takes
            what fits into free memory. If memory still runs out, batches become smaller.
        progress: called with (samples done, samples in all) after each batch.
        watch: computes further numbers of each head in the same passes, and keeps them in its `values`.

    Raises:
        InputError: a sample without response tokens or beyond the model's positions, one that does not fit into memory
            alone, a loss or gradient that is not finite (naming sample and layer), or a model whose attention or
            logits cannot be reached, or whose results for a sample change when it reads the sample again.
    """
    labelled = inputs.samples(samples, tokenizer)
    values, losses = [np.empty(0)] * len(labelled), np.empty(len(labelled), dtype=np.float64)

    def keep(indices: list[int], batch_values: BatchValues, batch_losses: BatchLosses) -> None:
        for index, value in zip(indices, batch_values, strict=True):
            values[index] = value
        losses[indices] = batch_losses

    reductions, reporting = (reduction, *also), _reporting(keep, len(labelled), progress)
    extract(model, labelled, reporting, reductions=reductions, token_budget=token_budget, watch=watch)
    stacked = np.stack(values)
    if watch:
        watch.values = stacked[:, len(reductions) :]
    return Patterns.stacked(reductions, stacked[:, : len(reductions)], losses)


def extract(
    model: PreTrainedModel,
    samples: Sequence[Sample],
    keep: Callable[[list[int], BatchValues, BatchLosses], None],
    *,
    reductions: Sequence[str],
    token_budget: int | str,
    done: Collection[int] = (),
    agree: Callable[[int], int] = int,
    share: tuple[int, int] = (0, 1),
    watch: Watch | None = None,
) -> None:
    """The work of `activation_patterns`, batch by batch: all of it, the unfinished rest, or a share.

    Args:
        model: as there.
        samples: as `inputs.samples` gives them.
        keep: called after each batch with the indices of its samples, their values, float32 [batch, reductions,
            layers, heads], and their losses, float64 [batch].
        reductions: some of `REDUCTIONS`, each once; values are kept as `reductions.sums` gives them.
        token_budget: as there.
        done: indices of samples to leave out. Batches are planned for all samples first, so that the same budget gives
            the same remaining batches.
        agree: maps the budget that this process found to the one that all processes use. It is called once before the
            first batch, and not at all if nothing is left.
        share: (k, n) for the k-th of n processes that share the batches, k from 0.
        watch: its numbers of each head are kept after the reductions.

    Raises:
        InputError: as there.
    """
    passes.check_samples(model, samples)
    check_reductions(reductions)
    if len(set(done)) == len(samples):
        return
    shape = models.heads_of(model)
    with passes.frozen(model):
        beginning = passes.beginning(samples, model)
        own_logits = memory.attempt_one(model, beginning, functools.partial(passes.own_logits, model))
        head = projection.head_of(model)
        memory.attempt_one(model, beginning, lambda sample: passes.check_causal(model, sample, own_logits))
        with recording(model, reductions, watch.see if watch else None) as recorded:
            memory.attempt_one(model, beginning, lambda sample: passes.check_logits(model, head, sample, own_logits))

            run = functools.partial(_run, model, head, recorded, watch, shape)
            found = memory.token_budget(token_budget, model, samples, run)
            read = functools.partial(_read, model, head, recorded, watch)
            budget = agree(selftest.token_budget(model, found, memory.plan(model, samples, found), read))
            left = memory.left(memory.plan(model, samples, budget), done, share)
            memory.each_batch(model, samples, left, run, lambda indices, found: keep(indices, *found))


def depends_on_batch(model: PreTrainedModel) -> bool:
    """Whether losses and patterns of a sample differ between a batch with other samples and one of its own.

    Raises:
        InputError: they differ when the model reads the sample a second time.
    """
    with passes.frozen(model), recording(model, ["abs_of_sum"]) as recorded:
        read = functools.partial(_read, model, projection.head_of(model), recorded, None)
        return selftest.depends_on_batch(model, read)


def unrecorded(
    model: PreTrainedModel,
    samples: Iterable[Any] | Mapping[str, Any],
    *,
    tokenizer: Any = None,
    token_budget: int | str = memory.AUTO,
    progress: Progress | None = None,
) -> Float64[np.ndarray, " samples"]:
    """Losses alone, float64 [samples]: the passes of `activation_patterns` with the model's own attention.

    The time of `activation_patterns` over the time of this is the cost of patterns. Arguments and errors are the same.
    """
    labelled = inputs.samples(samples, tokenizer)
    passes.check_samples(model, labelled)
    losses = np.empty(len(labelled), dtype=np.float64)
    keep = _reporting(losses.__setitem__, len(labelled), progress)
    with passes.frozen(model):
        run = functools.partial(passes.backward, model, projection.head_of(model))
        budget = memory.token_budget(token_budget, model, labelled, run)
        memory.each_batch(model, labelled, memory.plan(model, labelled, budget), run, keep)
    return losses


def _pass(
    model: PreTrainedModel,
    head: projection.Head,
    recorded: dict[int, torch.Tensor],
    watch: Watch | None,
    batch: Sequence[Sample],
) -> BatchLosses:
    """Losses of a batch, from a forward and backward pass that fills `recorded`."""
    recorded.clear()
    if watch:
        watch.batch = batch
    return passes.backward(model, head, batch)


def _run(
    model: PreTrainedModel,
    head: projection.Head,
    recorded: dict[int, torch.Tensor],
    watch: Watch | None,
    shape: tuple[int, int],
    batch: Sequence[Sample],
) -> tuple[BatchValues, BatchLosses]:
    """Values and losses of a batch, checked."""
    losses = _pass(model, head, recorded, watch, batch)
    return _collect(model, recorded, batch, shape), losses


def _read(
    model: PreTrainedModel,
    head: projection.Head,
    recorded: dict[int, torch.Tensor],
    watch: Watch | None,
    batch: Sequence[Sample],
) -> tuple[BatchValues, BatchLosses]:
    """Values and losses of a batch, of the layers that the model has at the moment.

    Raises:
        InputError: no layer gave a gradient, or layers have different numbers of heads; the error of `_run` is better.
    """
    losses = _pass(model, head, recorded, watch, batch)
    if len({values.shape for values in recorded.values()}) != 1:
        raise InputError(
            f"the layers of {type(model).__name__} do not give a matrix of heads: use another architecture."
        )
    return torch.stack([recorded[layer] for layer in sorted(recorded)], dim=2).cpu().numpy(), losses


def _reporting(keep: Callable[..., None], total: int, progress: Progress | None) -> Callable[..., None]:
    """`keep`, and then `progress` with the samples kept so far."""
    done = 0

    def kept(indices: list[int], *found: np.ndarray) -> None:
        nonlocal done
        keep(indices, *found)
        done += len(indices)
        if progress:
            progress(done, total)

    return kept


def _collect(
    model: PreTrainedModel,
    recorded: Recorded,
    batch: Sequence[Sample],
    shape: tuple[int, int],
) -> BatchValues:
    """What the layers recorded for a batch, checked to be complete and finite."""
    layers = models.attention_layers(model)
    missing = [layer for layer in layers if layer not in recorded]
    if missing:
        raise InputError(
            f"layers {missing} of {type(model).__name__} gave no gradient: their attention does not go through "
            "transformers' AttentionInterface, so their heads are not visible; use an architecture that does."
        )
    unexpected = sorted(recorded.keys() - set(layers))
    if unexpected:
        raise InputError(
            f"layers {unexpected} of {type(model).__name__} compute attention although its config says that they "
            "do not, so the layers of a pattern are unknown: use another architecture."
        )
    for layer in layers:
        if recorded[layer].shape[2] != shape[1]:
            raise InputError(
                f"layer {layer} of {type(model).__name__} has {recorded[layer].shape[2]} query heads, but its "
                f"config says {shape[1]}: use an architecture with the same number of heads in every layer."
            )
    values: BatchValues = torch.stack([recorded[layer] for layer in layers], dim=2).cpu().numpy()
    broken = np.argwhere(~np.isfinite(values).all(axis=(1, 3)))
    if len(broken):
        # The backward pass runs from the last layer to the first, so an error appears first at the largest index.
        sample, layer = max(broken, key=lambda place: place[1])
        raise InputError(
            f"the gradient of layer {layers[layer]} for sample '{batch[sample].id}' is not finite: the checkpoint or "
            "its precision is broken (try float32)."
        )
    return values
