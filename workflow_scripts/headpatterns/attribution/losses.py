"""The loss of samples under a model, by forward passes alone: an extraction without patterns."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float64
from transformers import PreTrainedModel

from headpatterns.attribution import memory, passes, selftest
from headpatterns.attribution.inputs import Sample
from headpatterns.models import projection

Losses = Float64[np.ndarray, " samples"]


@contextmanager
def measuring(
    model: PreTrainedModel, samples: Sequence[Sample], token_budget: int | str = memory.AUTO
) -> Iterator[Callable[[], Losses]]:
    """A function that returns the loss of every sample under the current weights, each time it is called.

    The model uses its own attention. The requirements of the passes are checked once.

    Args:
        model: a causal language model of transformers; it is left as it was found.
        samples: tokenized; their order is kept.
        token_budget: tokens a batch may hold, padding included; `auto` takes the budget of activation patterns, which
            need more memory.

    Yields:
        float64 [samples], each the mean negative log-likelihood of the response tokens, EOS included (nats).

    Raises:
        InputError: a sample without response tokens, beyond the model's positions or beyond its memory, a loss that is
            not finite, or a model whose logits cannot be reached.
    """
    passes.check_samples(model, samples)
    with passes.frozen(model):
        head = projection.head_of(model)
        budget = memory.token_budget(token_budget, model, samples, functools.partial(passes.backward, model, head))
        beginning = passes.beginning(samples, model)
        passes.check_logits(model, head, beginning, passes.own_logits(model, beginning))

        @torch.no_grad()
        def run(batch: Sequence[Sample]) -> tuple[Losses]:
            return (passes.forward(model, head, batch)[0],)

        batches = memory.plan(
            model, samples, selftest.token_budget(model, budget, memory.plan(model, samples, budget), run)
        )

        def measure() -> Losses:
            losses = np.empty(len(samples), dtype=np.float64)

            def keep(indices: list[int], found: tuple[Losses]) -> None:
                losses[indices] = found[0]

            memory.each_batch(model, samples, batches, run, keep)
            return losses

        yield measure
