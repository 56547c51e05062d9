"""Train the byte-level BPE tokenizer of the embedded models on the pretraining corpus."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.models.tokenizer import train_tokenizer


def main(arguments: argparse.Namespace) -> None:
    """Train and save it."""
    train_tokenizer(arguments.corpus, arguments.vocabulary, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--corpus", type=Path, required=True, help="jsonl file with the field text")
    made.add_argument("--vocabulary", type=int, required=True, help="number of tokens in the vocabulary")
    made.add_argument("--output", type=Path, required=True, help="folder of the tokenizer")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
