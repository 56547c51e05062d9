"""Make a folder of a model with a new chat template: links to its files, and the template."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.models.chat_templates import give


def main(arguments: argparse.Namespace) -> None:
    """Make it."""
    give(arguments.model, arguments.template, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--model", type=Path, required=True, help="folder of the model, or of only its tokenizer")
    made.add_argument("--template", type=Path, required=True, help="file with the template, or folder of a tokenizer")
    made.add_argument("--output", type=Path, required=True, help="folder to write")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
