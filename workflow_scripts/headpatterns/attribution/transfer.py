"""Losses of every task's samples under a model and under each of its runs, from files to files.

Torch is imported late, after all checks that do not need it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headpatterns.data import samples
from headpatterns.data.tokens import TokenizedSample
from headpatterns.errors import InputError
from headpatterns.io import write_csv
from headpatterns.models import loading as models
from headpatterns.models.loading import checkpoints
from headpatterns.processes import memory

COLUMNS = ("task", "id", "tokens", "before", "after")
"""Columns of the table of a run. It has a row for each sample of each task, with its response tokens and its losses."""

Probes = Mapping[str, Sequence[TokenizedSample]]


@dataclass(frozen=True)
class Settings:
    """How losses are computed.

    Attributes:
        model: folder of the model that runs started from.
        max_length: tokens at which a sample is cut.
        token_budget: as in `activation_patterns`.
        device: cpu, cuda, cuda:N or mps.
        dtype: float32, bfloat16 or float16.
        threads: processor threads.
    """

    model: Path
    max_length: int
    token_budget: int | str
    device: str
    dtype: str
    threads: int


def of_runs(runs: Mapping[Path, Path], tasks: Mapping[str, Path], settings: Settings) -> None:
    """Write the table of each run: the losses of the samples of every task before and after the run.

    The samples are the same as for patterns: samples whose response lies beyond the maximum length are left out.

    Args:
        runs: the table (CSV) to write, by the folder of a run that started from the model.
        tasks: a file of rows with prompt and response, in any format, by the name of the task.
        settings: how losses are computed.

    Raises:
        InputError: a file, a sample, a run, the model or the device cannot be used.
    """
    models.check_folder(settings.model)
    rows = {task: samples.read(path) for task, path in tasks.items()}
    last = {run: list(checkpoints(run).values())[-1] for run in runs}

    memory.load("headpatterns.attribution.losses")
    models.compute_on(settings.device, settings.threads)
    tokenizer = models.load_tokenizer(settings.model)
    probes = {task: samples.tokenized(tokenizer, of_task, settings.max_length, tasks[task], skip=True)[0]
              for task, of_task in rows.items()}  # fmt: skip
    before = _losses(settings.model, probes, settings)
    for run, output in runs.items():
        after = _losses(last[run], probes, settings)
        write_csv(output, COLUMNS, [
            (task, sample.id, sample.response_tokens, *losses)
            for task, own in probes.items()
            for sample, *losses in zip(own, before[task], after[task], strict=True)
        ])  # fmt: skip
        print(f"{run}: {sum(map(len, probes.values()))} samples of {len(probes)} tasks", flush=True)


def _losses(folder: Path, probes: Probes, settings: Settings) -> dict[str, np.ndarray]:
    """The losses of the samples of each task under the model in a folder, [samples] each."""
    from headpatterns.attribution.losses import measuring

    model = models.load_model(folder, settings.dtype, settings.device)
    together = [sample for own in probes.values() for sample in own]
    try:
        with measuring(model, together, settings.token_budget) as measure:
            losses = measure()
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    del model
    models.free_memory(settings.device)
    ends = np.cumsum([len(own) for own in probes.values()])
    return dict(zip(probes, np.split(losses, ends[:-1]), strict=True))
