"""Heads moved between a model and its runs, from files to files: what of the gain of fine-tuning goes with them.

Torch is imported late, after what can be refused without it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from headpatterns.attribution import head_choices
from headpatterns.attribution.head_choices import WEIGHTS, Choice, Settings, Target, weights_of
from headpatterns.data import samples
from headpatterns.data.tokens import TokenizedSample
from headpatterns.io import write_csv
from headpatterns.models import loading as models
from headpatterns.models.loading import checkpoints
from headpatterns.processes import memory

if TYPE_CHECKING:
    import torch

COLUMNS = ("direction", "ranking", "draw", "k", "heads", "id", "loss")
"""Of the table of a run: a row for each sample under each choice of heads; `heads` are those of the model."""

TRANSPLANT, REVERT = "transplant", "revert"
NONE = "none"


def of_runs(targets: Sequence[Target], settings: Settings) -> None:
    """Write the table of each run: losses with heads of the run in the model, and with heads of the model in the run.

    Raises:
        InputError: a file, a sample, a run, the model or the device cannot be used, there are fewer heads than are to
            be moved, or it is not known which weights belong to a head.
    """
    models.check_folder(settings.model)
    rows = {target.data: samples.read(target.data) for target in targets}
    last = [list(checkpoints(target.run).values())[-1] for target in targets]

    memory.load("headpatterns.attribution.losses")
    from headpatterns.models.head_slices import change, slices

    models.compute_on(settings.device, settings.threads)
    tokenizer = models.load_tokenizer(settings.model)
    base = models.load_model(settings.model, settings.dtype, settings.device)
    shape = models.heads_of(base)
    head_choices.check_sizes(settings.sizes, settings.model, *shape)
    divided = slices(base)
    before = weights_of(base, [one.name for one in divided])
    for target, folder in zip(targets, last, strict=True):
        made, _ = samples.tokenized(tokenizer, rows[target.data], settings.max_length, target.data, skip=True)
        measured = head_choices.measured(made, target.data, settings.samples, settings.seed, settings.max_length)
        tuned = models.load_model(folder, settings.dtype, settings.device)
        after = weights_of(tuned, [one.name for one in divided])
        scores = head_choices.ranked(target, settings.rankings, {sample.id for sample in measured})
        if WEIGHTS in settings.rankings:
            scores[WEIGHTS] = change(before, after, divided, shape[1])
        wanted = wanted_choices(scores, settings, shape)
        found: list[tuple[Any, ...]] = []
        for direction, model, own, other in ((TRANSPLANT, base, before, after), (REVERT, tuned, after, before)):
            losses = _moved(model, own, other, divided, wanted, measured, settings.token_budget)
            found += _rows(direction, wanted, losses, measured)
        write_csv(target.output, COLUMNS, found)
        print(f"{target.run}: {len(wanted)} choices of heads, {len(measured)} samples", flush=True)
        del tuned
        models.free_memory(settings.device)


def wanted_choices(scores: head_choices.Scores, settings: Settings, shape: tuple[int, int]) -> list[Choice]:
    """No head, the first heads by each ranking and of each random order, and all heads."""
    some = [one for one in head_choices.choices(scores, settings, shape) if one.k < shape[0] * shape[1]]
    return [Choice(NONE, 0, np.zeros(shape, dtype=bool)), *some, Choice(NONE, 0, np.ones(shape, dtype=bool))]


def _moved(
    model: Any,
    own: "Mapping[str, torch.Tensor]",
    other: "Mapping[str, torch.Tensor]",
    divided: Any,
    wanted: Sequence[Choice],
    measured: Sequence[TokenizedSample],
    token_budget: int | str,
) -> Iterator[Float64[np.ndarray, " samples"]]:
    """The losses with the heads of each choice taken from another model; its own are back in place after each."""
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
