"""Pretraining of an embedded base model on raw text: knowledge without the instruction format."""

import json
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, PreTrainedModel

from headpatterns.data.corpus import read as read_corpus
from headpatterns.errors import InputError, first_line
from headpatterns.models import loading as models
from headpatterns.provenance import fingerprint
from headpatterns.training import run_folder
from headpatterns.training import train as training
from headpatterns.training.recipe import Recipe

BLOCKS = "documents"
"""How blocks are made, which is a part of what identifies a run: a run with other blocks is not continued."""


def pretrain(
    architecture: dict[str, Any],
    tokenizer_folder: Path,
    corpus: Path,
    block_size: int,
    output: Path,
    recipe: Recipe,
    device: str,
    threads: int,
) -> None:
    """Train a model of the given architecture on the documents of the corpus, from random weights.

    Args:
        architecture: model_type and fields of its config.
        tokenizer_folder: folder of the tokenizer.
        corpus: JSON lines with the field `text`.
        block_size: tokens at which a document is cut into several training samples.
        output: folder of the run.
        recipe: how it is trained; its seed also draws the first weights.
        device: `cpu` or `cuda`.
        threads: processor threads.

    Raises:
        InputError: no model can be built, a block is longer than it reads, or the corpus cannot be read or has fewer
            blocks than a step.
    """
    torch.set_num_threads(threads)
    tokenizer = models.load_tokenizer(tokenizer_folder)
    model = build(architecture, tokenizer, recipe.seed)
    print(f"{type(model).__name__} with {model.num_parameters():,} parameters")
    limit = models.positions(model)
    if limit and block_size > limit:
        raise InputError(
            f"a block may have {block_size} tokens, but the architecture has {limit} positions: "
            f"set pretraining_recipe.block_size to {limit} or less."
        )
    samples = blocks(corpus, tokenizer, block_size)
    if len(samples) < recipe.global_batch_size:
        raise InputError(
            f"{corpus} gives {len(samples)} blocks, less than the {recipe.global_batch_size} of one step: raise "
            "embedded.documents, or lower pretraining_recipe.batch_size."
        )
    made = (corpus, tokenizer_folder / "tokenizer.json", json.dumps(architecture), str(block_size), BLOCKS)
    identity = fingerprint(*made)
    with training.session(recipe, device):
        training.train(model, tokenizer, samples, recipe, identity, output, device)
        run_folder.publish(output)


def build(architecture: dict[str, Any], tokenizer: Any, seed: int) -> PreTrainedModel:
    """A model with random weights: `architecture` holds model_type and fields of its config.

    Raises:
        InputError: an unknown model_type or field, or values that do not go together.
    """
    model_type = str(architecture.get("model_type"))
    try:
        if model_type not in CONFIG_MAPPING:
            raise ValueError(f"transformers has no model_type '{model_type}'")
        config = AutoConfig.for_model(
            **architecture,
            vocab_size=len(tokenizer),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        # transformers keeps a field that it does not know as an attribute, and the known one at its huge default.
        plain = AutoConfig.for_model(model_type)
        unknown = [name for name in architecture if hasattr(config, name) and not hasattr(plain, name)]
        if unknown:
            raise ValueError(f"{model_type} has no field '{unknown[0]}'")
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except (KeyError, TypeError, ValueError, StrictDataclassError) as error:
        raise InputError(f"no model can be built from the architecture {architecture}: {first_line(error)}.") from error
    return model


def blocks(corpus: Path, tokenizer: Any, size: int) -> list[dict[str, list[int]]]:
    """The documents of the corpus, each closed by EOS, and cut into blocks of `size` tokens where it has more.

    A token left over is no block: nothing is predicted from it.

    Raises:
        InputError: the corpus cannot be read, or has no block.
    """
    documents = ([*ids, tokenizer.eos_token_id] for ids in tokenizer(read_corpus(corpus))["input_ids"])
    cut = (ids[start : start + size] for ids in documents for start in range(0, len(ids), size))
    found = [{"input_ids": block, "labels": block} for block in cut if len(block) > 1]
    if not found:
        raise InputError(
            f"{corpus} has no block of two tokens or more: generate longer documents, or raise "
            "pretraining_recipe.block_size."
        )
    return found
