"""Pretrain an embedded base model on raw text: knowledge without the instruction format."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headpatterns import cli as command_line
from headpatterns.errors import InputError, first_line
from headpatterns.training import options as recipe_options

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def main(arguments: argparse.Namespace) -> None:
    """Pack the corpus into blocks and train a model of the given architecture on them from random weights."""
    import torch

    from headpatterns.models import loading as models
    from headpatterns.provenance import fingerprint
    from headpatterns.training import train as training

    torch.set_num_threads(arguments.threads)
    tokenizer = models.load_tokenizer(arguments.tokenizer)
    model = build(arguments.architecture, tokenizer, arguments.seed)
    print(f"{type(model).__name__} with {model.num_parameters():,} parameters")
    limit = models.positions(model)
    if limit and arguments.block_size > limit:
        raise InputError(
            f"a block has {arguments.block_size} tokens, but the architecture has {limit} positions: "
            f"set pretraining_recipe.block_size to {limit} or less."
        )
    samples = blocks(arguments.corpus, tokenizer, arguments.block_size)
    identity = fingerprint(
        arguments.corpus,
        arguments.tokenizer / "tokenizer.json",
        json.dumps(arguments.architecture),
        str(arguments.block_size),
    )
    recipe = recipe_options.recipe(arguments)
    with training.session(recipe, arguments.device):
        training.train(model, tokenizer, samples, recipe, identity, arguments.output, arguments.device)
        training.publish(arguments.output)


def build(architecture: dict[str, Any], tokenizer: Any, seed: int) -> "PreTrainedModel":
    """A model with random weights: `architecture` holds model_type and fields of its config.

    Raises:
        InputError: an unknown model_type or field, or values that do not go together.
    """
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM

    model_type = architecture.get("model_type")
    try:
        if model_type not in CONFIG_MAPPING:
            raise ValueError(f"transformers knows no model_type '{model_type}'")
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
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except (KeyError, TypeError, ValueError, StrictDataclassError) as error:
        raise InputError(f"no model can be built from the architecture {architecture}: {first_line(error)}.") from error


def blocks(corpus: Path, tokenizer: Any, size: int) -> list[dict[str, list[int]]]:
    """The corpus as blocks of `size` tokens, documents one after another, each closed by EOS."""
    with corpus.open(encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file]
    stream = [token for ids in tokenizer(texts)["input_ids"] for token in [*ids, tokenizer.eos_token_id]]
    cut = [stream[start : start + size] for start in range(0, len(stream) - size + 1, size)]
    if not cut:
        raise InputError(f"{corpus} has {len(stream)} tokens, less than one block of {size}: generate more documents.")
    return [{"input_ids": block, "labels": block} for block in cut]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--architecture", type=json.loads, required=True, help="JSON: model_type and its config's fields")
    made.add_argument("--tokenizer", type=Path, required=True, help="folder of the tokenizer")
    made.add_argument("--corpus", type=Path, required=True, help="jsonl with the field text")
    made.add_argument("--block-size", type=int, required=True, help="tokens of a training sample")
    made.add_argument("--output", type=Path, required=True, help="folder of the pretraining run")
    recipe_options.add(made)
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
