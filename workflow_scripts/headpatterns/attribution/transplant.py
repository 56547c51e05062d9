"""Heads moved between a model and its runs, from files to files: how much of the gain of fine-tuning they carry.

Torch is imported late, after all checks that do not need it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from headpatterns.attribution import head_choices
from headpatterns.attribution.head_choices import Choice, Ranked, Settings, Target
from headpatterns.data.tokens import TokenizedSample
from headpatterns.io import write_csv

if TYPE_CHECKING:
    import torch

    from headpatterns.models.head_slices import Slices

COLUMNS = ("direction", "ranking", "draw", "k", "heads", "id", "loss")
"""Columns of the table of a run. It has a row for each sample and choice of heads; `heads` is the number of heads of
the model."""

TRANSPLANT, REVERT = "transplant", "revert"
NONE = "none"


def of_runs(targets: Sequence[Target], settings: Settings) -> None:
    """Write the table of each run: losses with heads of the run in the model, and with heads of the model in the run.

    Raises:
        InputError: a file, a sample, a run, the model or the device cannot be used, there are fewer heads than are to
            be moved, or it is not known which weights belong to a head.
    """
    head_choices.for_each_run(targets, settings, lambda run: _of_run(run, settings))


def _of_run(run: Ranked, settings: Settings) -> None:
    """Write the table of one run."""
    before, after = (_weights(model, run.divided) for model in (run.base, run.tuned))
    wanted = wanted_choices(run.scores, settings, run.shape)
    found: list[tuple[Any, ...]] = []
    for direction, model, own, other in ((TRANSPLANT, run.base, before, after), (REVERT, run.tuned, after, before)):
        losses = _moved(model, own, other, run.divided, wanted, run.measured, settings.token_budget)
        found += _rows(direction, wanted, losses, run.measured)
    write_csv(run.target.output, COLUMNS, found)
    print(f"{run.target.run}: {len(wanted)} choices of heads, {len(run.measured)} samples", flush=True)


def wanted_choices(scores: head_choices.Scores, settings: Settings, shape: tuple[int, int]) -> list[Choice]:
    """No head, the first heads of each ranking and of each random order, and all heads."""
    some = [one for one in head_choices.choices(scores, settings, shape) if one.k < shape[0] * shape[1]]
    return [Choice(NONE, 0, np.zeros(shape, dtype=bool)), *some, Choice(NONE, 0, np.ones(shape, dtype=bool))]


def _weights(model: Any, divided: "Sequence[Slices]") -> "dict[str, torch.Tensor]":
    """Copies of the parameters that are divided among heads."""
    parameters = dict(model.named_parameters())
    return {one.name: parameters[one.name].detach().clone() for one in divided}


def _moved(
    model: Any,
    own: "Mapping[str, torch.Tensor]",
    other: "Mapping[str, torch.Tensor]",
    divided: Any,
    wanted: Sequence[Choice],
    measured: Sequence[TokenizedSample],
    token_budget: int | str,
) -> Iterator[Float64[np.ndarray, " samples"]]:
    """The losses with the heads of each choice taken from another model; its own heads are restored each time."""
    from headpatterns.attribution.losses import measuring
    from headpatterns.models.head_slices import move

    with measuring(model, measured, token_budget) as measure:
        for choice in wanted:
            move(model, other, divided, choice.heads)
            losses = measure()
            move(model, own, divided, choice.heads)
            yield losses


def _rows(
    direction: str,
    wanted: Sequence[Choice],
    losses: Iterator[Float64[np.ndarray, " samples"]],
    measured: Sequence[TokenizedSample],
) -> Iterator[tuple[Any, ...]]:
    """Rows of `COLUMNS`."""
    for choice, of_samples in zip(wanted, losses, strict=True):
        for sample, loss in zip(measured, of_samples, strict=True):
            yield (direction, choice.ranking, choice.draw, choice.k, choice.heads.size, sample.id, loss)
