"""Make a model folder in Hugging Face layout from an adapter (LoRA, as PEFT saves it) and its base model."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.models.lora import merge


def main(arguments: argparse.Namespace) -> None:
    """Merge them."""
    merge(arguments.adapter, arguments.base, arguments.output, arguments.dtype)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--base", type=Path, required=True, help="folder of the base model")
    made.add_argument("--adapter", type=Path, required=True, help="folder of the adapter")
    made.add_argument(
        "--dtype",
        default="float32",
        choices=["float32", "bfloat16"],
        help="number format of the merged weights",
    )
    made.add_argument("--output", type=Path, required=True, help="folder of the merged model")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
