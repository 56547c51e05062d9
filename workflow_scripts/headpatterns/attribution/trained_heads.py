"""Runs that train only the weights of some heads: the choice of heads, and losses afterwards, from files to files.

Torch is imported late, after all checks that do not need it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from headpatterns.attribution import head_choices
from headpatterns.attribution.head_choices import ALL, Choice, Ranked, Settings, Target
from headpatterns.data import samples
from headpatterns.data.tokens import TokenizedSample
from headpatterns.errors import InputError
from headpatterns.io import write_csv
from headpatterns.models import loading as models
from headpatterns.models.loading import checkpoints
from headpatterns.processes import memory

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CHOSEN = ("layer", "head")
"""Columns of a file of chosen heads, which fine-tuning reads."""

WHOLE = ("id", "before", "after")
"""Columns of the losses of a run that trains all weights."""

ALONE = ("heads", "id", "loss")
"""Columns of the losses of a run that trains only some heads; `heads` is the number of heads of the model."""

CHOICE = "{choice}"
"""Placeholder for the name of a choice in the path of its file."""


@dataclass(frozen=True)
class Measuring:
    """The samples whose losses are computed, and how: as in `Settings`."""

    model: Path
    samples: int
    seed: int
    max_length: int
    token_budget: int | str
    device: str
    dtype: str
    threads: int


def choose(targets: Sequence[Target], places: Sequence[str], settings: Settings) -> None:
    """Write the heads that are chosen for each run, and the losses of its samples before and after it.

    Args:
        targets: runs that train all weights.
        places: path of the files of heads for each of them, with `CHOICE` as a placeholder for the name of the choice.
        settings: how heads are chosen and losses are computed.

    Raises:
        InputError: a file, a sample, a run, the model or the device cannot be used, there are fewer heads than are to
            be chosen, or it is not known which weights belong to a head.
    """
    if unnamed := next((place for place in places if CHOICE not in place), None):
        raise InputError(f"--heads-output is {unnamed}, without {CHOICE} for the name of each choice: add it.")
    by_run = dict(zip(targets, places, strict=True))
    head_choices.for_each_run(targets, settings, lambda run: _choose(run, by_run[run.target], settings))


def _choose(run: Ranked, place: str, settings: Settings) -> None:
    """Write the chosen heads of one run to files at a place, and its losses."""
    every = Choice(ALL, 0, np.ones(run.shape, dtype=bool))
    for choice in (*head_choices.choices(run.scores, settings, run.shape), every):
        write_csv(Path(place.replace(CHOICE, choice.name)), CHOSEN, np.argwhere(choice.heads).tolist())
    before, after = (_losses(model, run.measured, settings.token_budget) for model in (run.base, run.tuned))
    ids = [sample.id for sample in run.measured]
    write_csv(run.target.output, WHOLE, list(zip(ids, before, after, strict=True)))
    print(f"{run.target.run}: {len(run.measured)} samples", flush=True)


def measure(runs: Sequence[Path], data: Sequence[Path], outputs: Sequence[Path], settings: Measuring) -> None:
    """Write the losses of samples under the last checkpoint of each run.

    Args:
        runs: folders of runs that started from the model.
        data: for each of them, a file of rows with prompt and response.
        outputs: for each of them, the table (CSV) to write.
        settings: how losses are computed.

    Raises:
        InputError: a file, a sample, a run, the model or the device cannot be used.
    """
    models.check_folder(settings.model)
    rows = {path: samples.read(path) for path in data}
    last = [list(checkpoints(run).values())[-1] for run in runs]

    memory.load("headpatterns.attribution.losses")
    models.compute_on(settings.device, settings.threads)
    tokenizer = models.load_tokenizer(settings.model)
    for run, folder, path, output in zip(runs, last, data, outputs, strict=True):
        made, _ = samples.tokenized(tokenizer, rows[path], settings.max_length, path, skip=True)
        measured = head_choices.measured(made, path, settings.samples, settings.seed, settings.max_length)
        model = models.load_model(folder, settings.dtype, settings.device)
        layers, heads = models.heads_of(model)
        losses = _losses(model, measured, settings.token_budget)
        of_samples = zip(measured, losses, strict=True)
        write_csv(output, ALONE, [(layers * heads, sample.id, loss) for sample, loss in of_samples])
        print(f"{run}: {len(measured)} samples", flush=True)
        del model
        models.free_memory(settings.device)


def _losses(
    model: "PreTrainedModel", measured: Sequence[TokenizedSample], token_budget: int | str
) -> Float64[np.ndarray, " samples"]:
    """The losses of samples under a model."""
    from headpatterns.attribution.losses import measuring

    with measuring(model, measured, token_budget) as measure:
        return measure()
