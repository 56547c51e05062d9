"""Pretrain an embedded base model on raw text: knowledge without the instruction format."""

import argparse
import json
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.processes import memory
from headpatterns.training.recipe import Recipe


def main(arguments: argparse.Namespace) -> None:
    """Train a model of the architecture; a wrong recipe is refused before torch is imported."""
    recipe = Recipe.from_json(arguments.recipe)
    command_line.check_counts(arguments, "block_size")

    memory.load("headpatterns.training.pretrain")
    from headpatterns.training.pretrain import pretrain

    pretrain(
        architecture=arguments.architecture,
        tokenizer_folder=arguments.tokenizer,
        corpus=arguments.corpus,
        block_size=arguments.block_size,
        output=arguments.output,
        recipe=recipe,
        device=arguments.device,
        threads=arguments.threads,
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument(
        "--architecture", type=json.loads, required=True, help="JSON object: model_type, and fields of its config"
    )
    made.add_argument("--tokenizer", type=Path, required=True, help="folder of the tokenizer")
    made.add_argument("--corpus", type=Path, required=True, help="jsonl file with the field text")
    made.add_argument("--block-size", type=int, required=True, help="tokens at which a document is cut")
    made.add_argument("--recipe", required=True, help="JSON object of the keys of headpatterns.training.recipe.Recipe")
    made.add_argument("--device", default="cpu", help="cpu or cuda")
    made.add_argument("--threads", type=int, default=1, help="processor threads")
    made.add_argument("--output", type=Path, required=True, help="folder of the pretraining run")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
