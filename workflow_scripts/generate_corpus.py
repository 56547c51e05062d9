"""Write the pretraining corpus of the embedded experiment: plain text, with one JSON object with `text` per line."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.data.embedded.corpus import write_corpus


def main(arguments: argparse.Namespace) -> None:
    """Write the file."""
    write_corpus(arguments.output, arguments.documents, arguments.seed)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--documents", type=int, required=True, help="number of documents")
    made.add_argument("--seed", type=int, default=0, help="seed of all random draws")
    made.add_argument("--output", type=Path, required=True, help="file to write")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
