"""Fine-tune a model on a training set: a run, with its checkpoints and its training curve."""

import argparse
import csv
from pathlib import Path
from typing import TYPE_CHECKING

import command_line
import recipe_options
from headpatterns.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset


def main(arguments: argparse.Namespace) -> None:
    """Gather the training set's samples, then train."""
    import torch

    from headpatterns import models, training
    from headpatterns.provenance import fingerprint

    torch.set_num_threads(arguments.threads)
    samples = gather(arguments.training_set, arguments.tokenized)
    model = models.load_model(arguments.model, device=arguments.device)
    limit = models.positions(model)
    # Read once: each pass over the column takes all of it out of Arrow.
    extents = [(len(input_ids), max(input_ids)) for input_ids in samples["input_ids"]]
    longest, largest = map(max, zip(*extents, strict=True))
    models.check_tokens(model, largest, str(arguments.training_set))
    if limit and longest > limit:
        raise InputError(
            f"a sample of {arguments.training_set} has {longest} tokens, but {arguments.model} has {limit} positions: "
            f"set tokenization.max_length to {limit} or less."
        )
    identity = fingerprint(
        *models.files(arguments.model),
        arguments.training_set,
        *[folder / "state.json" for folder in arguments.tokenized],
    )
    recipe = recipe_options.recipe(arguments)
    tokenizer = models.load_tokenizer(arguments.model)
    training.train(model, tokenizer, samples, recipe, identity, arguments.output, arguments.device)


def gather(training_set: Path, tokenized: list[Path]) -> "Dataset":
    """The samples that a training set selects, in its order: `input_ids` and `labels`.

    `training_set` is a CSV with the columns `dataset` and `id`; `tokenized` are folders
    `{dataset}/{split}` written by the rule tokenize_instructions.
    """
    from datasets import concatenate_datasets, load_from_disk

    shards = {folder.parent.name: load_from_disk(folder) for folder in tokenized}
    places = {}
    offset = 0
    for dataset, shard in shards.items():
        places |= {(dataset, id): offset + place for place, id in enumerate(shard["id"])}
        offset += len(shard)
    with training_set.open(newline="", encoding="utf-8") as file:
        selected = [(row["dataset"], row["id"]) for row in csv.DictReader(file)]
    for dataset, id in selected:
        if (dataset, id) not in places:
            raise InputError(
                f"{training_set} selects sample '{id}' of '{dataset}', which is in none of "
                f"{', '.join(map(str, tokenized))}: make the training set again."
            )
    if not selected:
        raise InputError(f"{training_set} selects no sample: check the data behind it.")
    everything = concatenate_datasets(list(shards.values()))
    return everything.select([places[chosen] for chosen in selected]).remove_columns("id")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--model", type=Path, required=True, help="folder of the model to start from")
    made.add_argument("--training-set", type=Path, required=True, help="CSV of the selected samples (dataset, id)")
    made.add_argument("--tokenized", type=Path, nargs="+", required=True, help="tokenized shards {dataset}/{split}")
    made.add_argument("--output", type=Path, required=True, help="folder of the run")
    recipe_options.add(made)
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
