"""Make a model folder in Hugging Face layout from a GGUF file, its weights dequantized to float32."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.models.conversion import convert


def main(arguments: argparse.Namespace) -> None:
    """Convert it."""
    convert(arguments.gguf, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--gguf", type=Path, required=True, help="GGUF file with weights and tokenizer")
    made.add_argument("--output", type=Path, required=True, help="folder of the model")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
