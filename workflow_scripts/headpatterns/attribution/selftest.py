"""Test of a model itself: whether its losses and patterns depend on the other samples of a batch."""

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
    """Whether the results of `run` for a short sample differ between a batch with other samples and one of its own.

    Args:
        model: frozen.
        run: returns the arrays of a batch; samples are the first dimension of each.

    Raises:
        InputError: the results differ when the model reads a sample a second time.
    """

    def read(batch: list[list[int]]) -> Sequence[independence.Reading] | None:
        samples = [LabelledSample(f"{place} of the self-test", ids, ids) for place, ids in enumerate(batch, start=1)]
        try:
            found = memory.attempt(model, samples, run)
        except InputError:  # a broken model; the error should name one of the user's samples instead
            return None
        return None if found is None else [[array[row] for array in found] for row in range(len(batch))]

    return independence.depends(model, read)


def token_budget(
    model: PreTrainedModel, budget: int, plan: Sequence[Sequence[int]], run: Callable[[Any], tuple[Any, ...]]
) -> int:
    """The token budget of a plan, or `ALONE` if the model needs a batch for every sample.

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
