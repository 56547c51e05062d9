"""Fine-tune a model on training sets: runs, one after another, each with its checkpoints and its training curve."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from headpatterns import cli as command_line
from headpatterns.data import training_sets
from headpatterns.errors import InputError
from headpatterns.io import unfinished
from headpatterns.training import options as recipe_options

if TYPE_CHECKING:
    from datasets import Dataset

    from headpatterns.training.train import Recipe


def main(arguments: argparse.Namespace) -> None:
    """Train every run, then put all of them in place: what a failed job has put out, Snakemake removes."""
    runs = len(arguments.output)
    if len(arguments.training_set) != runs or len(arguments.model) not in (1, runs):
        raise InputError(
            f"{len(arguments.model)} --model and {len(arguments.training_set)} --training-set do not fit {runs} "
            "--output: give a training set for each run, and one model for all runs or one for each."
        )

    import torch

    from headpatterns.models import loading as models
    from headpatterns.processes import group as processes
    from headpatterns.training import train as training

    recipe = recipe_options.recipe(arguments)
    models.check_device(arguments.device)
    torch.set_num_threads(processes.own_threads(arguments.threads))
    with training.session(recipe, arguments.device):
        pool = Pool.of(arguments.tokenized)
        starts = arguments.model * runs if len(arguments.model) == 1 else arguments.model
        for start, training_set, output in zip(starts, arguments.training_set, arguments.output, strict=True):
            training.stop_between_runs(arguments.device)
            earlier = start.parent in arguments.output  # a run of this job, which is not in place yet
            place = unfinished(start.parent) / start.name if earlier else start
            finetune(place, training_set, pool, output, recipe, arguments)
            models.free_memory(arguments.device)
        for output in arguments.output:
            training.publish(output)


def finetune(
    start: Path, training_set: Path, pool: "Pool", output: Path, recipe: "Recipe", arguments: argparse.Namespace
) -> None:
    """Train one run that starts from the model in the folder `start`."""
    from headpatterns.models import loading as models
    from headpatterns.processes import group as processes
    from headpatterns.provenance import fingerprint
    from headpatterns.training import train as training

    samples = gather(training_set, pool)
    dtype = training.loading_dtype(recipe, models.stored_dtype(start)) if len(samples) else "float32"
    model = models.load_model(start, dtype, str(processes.own_device(arguments.device)))
    if len(samples):
        check(samples, model, start, training_set)
    elif processes.is_first():
        print(f"{training_set} selects no sample: {output} is the model that it starts from", flush=True)
    states = [folder / "state.json" for folder in arguments.tokenized]
    identity = fingerprint(*models.files(start), training_set, *states) if processes.is_first() else ""
    tokenizer = models.load_tokenizer(start)
    training.train(model, tokenizer, samples, recipe, identity, output, arguments.device)


def check(samples: "Dataset", model: object, start: Path, training_set: Path) -> None:
    """Refuse samples that the model cannot read."""
    from headpatterns.models import loading as models

    # Read once: each pass over the column takes all of it out of Arrow.
    extents = [(len(input_ids), max(input_ids)) for input_ids in samples["input_ids"]]
    longest, largest = map(max, zip(*extents, strict=True))
    models.check_tokens(model, largest, str(training_set))
    limit = models.positions(model)
    if limit and longest > limit:
        raise InputError(
            f"a sample of {training_set} has {longest} tokens, but {start} has {limit} positions: "
            f"set tokenization.max_length to {limit} or less."
        )


def gather(training_set: Path, pool: "Pool") -> "Dataset":
    """The samples that a training set selects from the pool, in its order: `input_ids` and `labels`.

    `training_set` is a CSV with the columns `dataset` and `id`.
    """
    selected = training_sets.read(training_set)
    for dataset, id in selected:
        if (dataset, id) not in pool.places:
            raise InputError(
                f"{training_set} selects sample '{id}' of '{dataset}', which is in none of "
                f"{', '.join(map(str, pool.folders))}: make the training set again."
            )
    return pool.samples.select([pool.places[chosen] for chosen in selected]).remove_columns("id")


class Pool(NamedTuple):
    """The samples that training sets select from: all of them, and the place of each by dataset and id."""

    folders: list[Path]
    samples: "Dataset"
    places: dict[training_sets.Sample, int]

    @classmethod
    def of(cls, folders: list[Path]) -> "Pool":
        """Those of folders `{dataset}/{split}` written by the rule tokenize_instructions."""
        from datasets import concatenate_datasets, load_from_disk

        shards = {folder.parent.name: load_from_disk(folder) for folder in folders}
        samples = concatenate_datasets(list(shards.values()))
        named = ((dataset, id) for dataset, shard in shards.items() for id in shard["id"])
        return cls(folders, samples, {sample: place for place, sample in enumerate(named)})


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument(
        "--model", type=Path, nargs="+", required=True, help="folder of the model to start from: one, or one for a run"
    )
    made.add_argument(
        "--training-set", type=Path, nargs="+", required=True, help="CSV of the samples (dataset, id), one for a run"
    )
    made.add_argument("--tokenized", type=Path, nargs="+", required=True, help="tokenized shards {dataset}/{split}")
    made.add_argument("--output", type=Path, nargs="+", required=True, help="folder of the run, one for a run")
    recipe_options.add(made)
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
