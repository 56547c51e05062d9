"""Whether losses and patterns of a model depend on the samples that share a batch, asked of the model itself."""

from collections.abc import Callable, Sequence
from typing import Any

from transformers import PreTrainedModel

from headpatterns.attribution import memory
from headpatterns.attribution.inputs import LabelledSample
from headpatterns.errors import InputError
from headpatterns.models import independence

ALONE = 1
"""The token budget with which every sample is a batch of its own."""


def depends_on_batch(model: PreTrainedModel, run: Callable[[list[LabelledSample]], tuple[Any, ...]]) -> bool:
    """Whether a short sample comes out otherwise among others than alone, in what `run` gives for it.

    Args:
        model: frozen.
        run: the arrays of a batch, samples first in each.

    Raises:
        InputError: a sample comes out otherwise when it is read a second time.
    """

    def read(batch: list[list[int]]) -> Sequence[independence.Reading] | None:
        samples = [LabelledSample(f"{place} of the self-test", ids, ids) for place, ids in enumerate(batch, start=1)]
        try:
            found = memory.attempt(model, samples, run)
        except InputError:  # a broken model: the sentence is to name a sample of the user's
            return None
        return None if found is None else [[array[row] for array in found] for row in range(len(batch))]

    return independence.depends(model, read)


def token_budget(
    model: PreTrainedModel, budget: int, plan: Sequence[Sequence[int]], run: Callable[[Any], tuple[Any, ...]]
) -> int:
    """The token budget of a plan, or one that gives every sample a batch of its own where the model needs that.

    Raises:
        InputError: as `depends_on_batch`.
    """
    if all(len(batch) == 1 for batch in plan) or not depends_on_batch(model, run):
        return budget
    print(
        f"{type(model).__name__} gives a sample another result when the batch has other samples: it gets one "
        "sample at a time",
        flush=True,
    )
    return ALONE
