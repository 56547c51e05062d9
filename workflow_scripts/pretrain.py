"""Pretrain an embedded base model on raw text: knowledge without the instruction format."""

import argparse
import json
from pathlib import Path
from typing import Any

import command_line
import recipe_options
from headpatterns.errors import InputError


def main(arguments: argparse.Namespace) -> None:
    """Pack the corpus into blocks and train a model of the given architecture on them from random weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from headpatterns import models, training
    from headpatterns.provenance import fingerprint

    torch.set_num_threads(arguments.threads)
    tokenizer = models.load_tokenizer(arguments.tokenizer)
    architecture = dict(arguments.architecture)
    try:
        config = AutoConfig.for_model(
            architecture.pop("model_type"),
            vocab_size=len(tokenizer),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **architecture,
        )
        torch.manual_seed(arguments.seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"no model can be built from the architecture {arguments.architecture}: {error}") from error
    print(f"{type(model).__name__} with {model.num_parameters():,} parameters")
    samples = blocks(arguments.corpus, tokenizer, arguments.block_size)
    identity = fingerprint(arguments.corpus, arguments.tokenizer / "tokenizer.json", json.dumps(arguments.architecture))
    recipe = recipe_options.recipe(arguments)
    training.train(model, tokenizer, samples, recipe, identity, arguments.output, arguments.device)


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
