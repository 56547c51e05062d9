"""Passes in which the outputs of heads are replaced before the layers continue.

A pass reads pairs of a sample and a setting. A batch holds pairs, and each row has its own changed heads. All layers
are computed for each pair, even those below the first changed head, which all settings share. Transformers offers no
way to start in the middle of a model, because each model handles masks, positions and caches itself.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from transformers import PreTrainedModel

from headpatterns.attribution import adapters, memory, passes, selftest
from headpatterns.attribution.blockwise import attend
from headpatterns.attribution.inputs import Sample
from headpatterns.attribution.interface import attending_by
from headpatterns.attribution.layer_inputs import named, number
from headpatterns.attribution.parts import Parts
from headpatterns.attribution.reductions import HeadOutputs
from headpatterns.errors import InputError
from headpatterns.models import loading as models
from headpatterns.models import projection

Change = Callable[[HeadOutputs], HeadOutputs]
"""Maps the outputs of the heads of a layer, [batch, positions, heads, value size], to outputs that replace them."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Pair:
    """A sample under a setting of the heads; the passes treat it as a sample.

    Attributes:
        sample: the sample that is read.
        setting: the index of the setting.
        place: the index of the sample.
    """

    sample: Sample
    setting: int
    place: int

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


Run = Callable[[projection.Head, dict[int, Change], list[Pair]], tuple[Any, ...]]
"""Runs a pass over some pairs, and returns its results: pairs are the first dimension of each. First it fills the
dictionary with the change of every layer with attention."""


def each_pair(
    model: PreTrainedModel,
    samples: Sequence[Sample],
    settings: int,
    run: Run,
    keep: Callable[..., None],
    *,
    token_budget: int | str = memory.AUTO,
    progress: Progress | None = None,
    finished: Parts | None = None,
) -> None:
    """Read every sample under every setting, in batches that fit into memory.

    Gradients are off, unless `run` enables them. Batches are planned for all pairs, so that an interrupted call and one
    that continues it read the same batches.

    Args:
        model: a causal language model of transformers; it is left as it was found.
        samples: as `inputs.samples` gives them.
        settings: how many there are.
        run: computes the results of a batch.
        keep: called after each batch with its pairs and each of the results of `run`.
        token_budget: tokens a batch may hold, padding included; a longer sample is a batch of its own. `auto` takes
            the budget of activation patterns, which need more memory.
        progress: called with (pairs done, pairs in all) after each batch.
        finished: results of pairs, arrays from earlier calls with the same samples and settings; those that are
            computed now are added. `keep` gets both.

    Raises:
        InputError: a sample without response tokens, beyond the model's positions or beyond its memory, a loss that is
            not finite, or a model whose attention or logits cannot be reached.
    """
    passes.check_samples(model, samples)
    # Pairs of a sample are consecutive, so that a batch has little padding.
    pairs = [Pair(sample, setting, place) for place, sample in enumerate(samples) for setting in range(settings)]
    for indices, *results in finished.found if finished else ():
        keep([pairs[index] for index in indices], *results)
    done = set(finished.done if finished else ())

    def read(indices: list[int], found: tuple[Any, ...]) -> None:
        keep([pairs[index] for index in indices], *found)
        done.update(indices)
        if finished:
            finished.keep(indices, *found)
        if progress:
            progress(len(done), len(pairs))

    with passes.frozen(model):
        head = projection.head_of(model)
        budget = memory.token_budget(token_budget, model, samples, functools.partial(passes.backward, model, head))
        beginning = passes.beginning(samples, model)
        own_logits = passes.own_logits(model, beginning)
        with torch.no_grad(), changing(model) as changes:
            changes.update(unchanged(model))
            passes.check_logits(model, head, beginning, own_logits)
            _check_reached(model, changes)

            def whole(batch: Sequence[Sample]) -> tuple[Float64[np.ndarray, " batch"]]:
                changes.update(unchanged(model))
                return (passes.forward(model, head, batch)[0],)

            budget = selftest.token_budget(model, budget, memory.plan(model, pairs, budget), whole)
            left = memory.left(memory.plan(model, pairs, budget), done)
            try:
                memory.each_batch(model, pairs, left, functools.partial(run, head, changes), read)
            finally:
                if finished:
                    finished.write()


@contextmanager
def changing(model: PreTrainedModel) -> Iterator[dict[int, Change]]:
    """Let each layer change the output of its heads by its entry in the yielded dictionary, by layer number.

    A layer removes its entry, so that entries left after a pass belong to layers that were not reached.

    Raises:
        InputError: the attention of the model cannot be replaced; in a pass, a layer attends twice.
    """
    changes: dict[int, Change] = {}

    def changed(layer: int, output: HeadOutputs) -> HeadOutputs:
        if layer not in changes:
            raise InputError(
                f"{named(layer)} of {type(model).__name__} computes attention more than once in a pass, so its "
                "heads cannot be told apart: use an architecture with one attention per layer."
            )
        return changes.pop(layer)(output)

    def attention(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **settings: Any,
    ) -> tuple[torch.Tensor, None]:
        output, _ = attend(module, query, key, value, attention_mask, **settings)
        return changed(number(module), output), None

    with adapters.watched(model, changed) if adapters.fits(model) else attending_by(model, attention):
        yield changes


def unchanged(model: PreTrainedModel) -> dict[int, Change]:
    """The changes that leave every layer as it is."""
    return dict.fromkeys(models.attention_layers(model), _same)


def _same(output: HeadOutputs) -> HeadOutputs:
    return output


def times(scales: Float[torch.Tensor, "batch heads"], output: HeadOutputs) -> HeadOutputs:
    """The output of each head times its own factor."""
    return output * scales[:, None, :, None].to(output.dtype)


def scaling(model: PreTrainedModel, scales: Sequence[Float[torch.Tensor, "batch heads"]]) -> dict[int, Change]:
    """The changes that multiply the output of each head by a number: for each layer [batch, heads]."""
    layers = models.attention_layers(model)
    return {layer: functools.partial(times, own) for layer, own in zip(layers, scales, strict=True)}


def _check_reached(model: PreTrainedModel, changes: dict[int, Change]) -> None:
    """Refuse a model with layers that did not take their changes: ablating their heads would change nothing."""
    if changes:
        raise InputError(
            f"layers {sorted(changes)} of {type(model).__name__} computed no attention that is visible here: it "
            "does not go through transformers' AttentionInterface, so their heads cannot be ablated; use an "
            "architecture that does."
        )
