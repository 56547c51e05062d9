"""Tokenize the instructions of one dataset for one model: Arrow shards with the prompt masked by −100."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.data.tokens import tokenize_instructions
from headpatterns.processes import memory


def main(arguments: argparse.Namespace) -> None:
    """Tokenize them and print the counts."""
    memory.load("pyarrow")
    print(tokenize_instructions(arguments.model, arguments.instructions, arguments.max_length, arguments.output))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--model", type=Path, required=True, help="folder with the tokenizer")
    made.add_argument("--instructions", type=Path, required=True, help="parquet with id, prompt and response")
    made.add_argument("--max-length", type=int, required=True, help="largest number of tokens per sample")
    made.add_argument("--output", type=Path, required=True, help="folder of the shards")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
