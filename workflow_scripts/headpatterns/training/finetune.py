"""Fine-tuning of a model on training sets: consecutive runs, each with its checkpoints and its curve."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from datasets import Dataset, concatenate_datasets, load_from_disk
from transformers import PreTrainedModel

from headpatterns.data import training_sets
from headpatterns.errors import InputError, first_line
from headpatterns.io import unfinished
from headpatterns.models import loading as models
from headpatterns.processes import group as processes
from headpatterns.provenance import fingerprint
from headpatterns.training import run_folder, some_heads
from headpatterns.training import train as training
from headpatterns.training.adapters import Base
from headpatterns.training.recipe import Recipe

ROUNDED = (
    "is read in float32 and frozen, and training computes with it in bfloat16: it does not see differences of less "
    "than about 1/256 of a weight, such as those that an earlier run has made; checkpoints keep every digit"
)
"""The message about a base model of adapters that is stored with more digits than the precision of training."""


class Pool(NamedTuple):
    """The samples from which training sets select, and the position of each by dataset and id."""

    folders: Sequence[Path]
    samples: Dataset
    places: dict[training_sets.Sample, int]

    @classmethod
    def of(cls, folders: Sequence[Path]) -> "Pool":
        """The samples of folders `{dataset}/{split}` of the rule tokenize_instructions.

        Raises:
            InputError: a folder cannot be read.
        """
        shards = {folder.parent.name: _loaded(folder) for folder in folders}
        samples = concatenate_datasets(list(shards.values()))
        named = ((dataset, id) for dataset, shard in shards.items() for id in shard["id"])
        return cls(folders, samples, {sample: place for place, sample in enumerate(named)})


def _loaded(folder: Path) -> Dataset:
    """The tokenized samples of a folder.

    Raises:
        InputError: the folder has no samples, or they cannot be read.
    """
    try:
        return load_from_disk(folder)
    except Exception as error:  # datasets and pyarrow raise many types for the same problem of the user
        raise InputError(
            f"{folder} has no readable tokenized samples ({first_line(error)}): tokenize the rows again, or give "
            "a folder that tokenize_instructions.py wrote."
        ) from error


def finetune(
    starts: Sequence[Path],
    chosen: Sequence[Path],
    tokenized: Sequence[Path],
    outputs: Sequence[Path],
    recipe: Recipe,
    device: str,
    threads: int,
    heads: Sequence[Path] = (),
) -> None:
    """Train every run, then move all of them to their places, because Snakemake removes the output of a failed job.

    Args:
        starts: folders of the models to start from, one for each run or one for all; they may be earlier runs.
        chosen: CSV files of the training sets, one for each run.
        tokenized: folders `{dataset}/{split}` of the samples from which these select.
        outputs: folders of the runs.
        recipe: the recipe of all runs.
        device: `cpu` or `cuda`.
        threads: processor threads, of all processes on a machine.
        heads: CSV files of the only heads to train, one for each run; empty if all weights are trained.

    Raises:
        InputError: the numbers of models, training sets and files of heads do not fit the number of runs, or one of
            them cannot be used.
        Interrupted: SIGTERM came; finished training is kept.
    """
    runs = len(outputs)
    if len(chosen) != runs or len(starts) not in (1, runs):
        raise InputError(
            f"there are {runs} --output, but {len(starts)} --model and {len(chosen)} --training-set: give one "
            "training set per run, and one model for all runs or one per run."
        )
    if len(heads) not in (0, runs):
        raise InputError(f"{len(heads)} --heads do not fit {runs} --output: give one for each run, or none.")
    if heads:
        some_heads.check(recipe)
    models.check_device(device)
    torch.set_num_threads(processes.own_threads(threads))
    with training.session(recipe, device):
        pool = Pool.of(tokenized)
        each = [*starts] * runs if len(starts) == 1 else starts
        alone: Sequence[Path | None] = heads or [None] * runs
        for start, training_set, output, own in zip(each, chosen, outputs, alone, strict=True):
            training.stop_between_runs(device)
            earlier = start.parent in outputs  # a run of this job, which has not been moved yet
            place = unfinished(start.parent) / start.name if earlier else start
            _train_run(Base(start, place), training_set, pool, output, recipe, device, own)
            models.free_memory(device)
        for output in outputs:
            run_folder.publish(output)


def _train_run(
    base: Base, training_set: Path, pool: Pool, output: Path, recipe: Recipe, device: str, heads: Path | None
) -> None:
    """Train one run that starts from a model."""
    start = base.written
    samples = gather(training_set, pool)
    stored = models.stored_dtype(start)
    if len(samples) and recipe.lora and recipe.precision == "bf16" and stored == "float32" and processes.is_first():
        print(f"{start} {ROUNDED}", flush=True)
    dtype = training.loading_dtype(recipe, stored) if len(samples) else "float32"
    model = models.load_model(start, dtype, str(processes.own_device(device)))
    if len(samples):
        _check(samples, model, start, training_set)
    elif processes.is_first():
        print(f"{training_set} selects no sample, so {output} is the model that the run starts from", flush=True)
    states = [folder / "state.json" for folder in pool.folders]
    own = [] if heads is None else [heads]
    identity = fingerprint(*models.files(start), training_set, *states, *own) if processes.is_first() else ""
    chosen = None if heads is None else some_heads.read(heads, model)
    tokenizer = models.load_tokenizer(start)
    training.train(model, tokenizer, samples, recipe, identity, output, device, base, chosen)


def _check(samples: Dataset, model: PreTrainedModel, start: Path, training_set: Path) -> None:
    """Refuse samples that the model cannot read."""
    # The column is read once, because each pass decodes all of it from Arrow.
    extents = [(len(input_ids), max(input_ids)) for input_ids in samples["input_ids"]]
    longest, largest = map(max, zip(*extents, strict=True))
    models.check_tokens(model, largest, str(training_set))
    limit = models.positions(model)
    if limit and longest > limit:
        raise InputError(
            f"a sample of {training_set} has {longest} tokens, but {start} has {limit} positions: "
            f"set tokenization.max_length to {limit} or less."
        )


def gather(training_set: Path, pool: Pool) -> Dataset:
    """The samples that a training set selects from the pool, in its order: `input_ids` and `labels`.

    `training_set` is a CSV with the columns `dataset` and `id`.

    Raises:
        InputError: it selects a sample that is not in the pool.
    """
    selected = training_sets.read(training_set)
    for dataset, id in selected:
        if (dataset, id) not in pool.places:
            raise InputError(
                f"{training_set} selects sample '{id}' of '{dataset}', but none of "
                f"{', '.join(map(str, pool.folders))} has it: make the training set again."
            )
    return pool.samples.select([pool.places[sample] for sample in selected]).remove_columns("id")
