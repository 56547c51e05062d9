"""Print a sample token by token with its labels, as training and patterns read it."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.data import sample


def main(arguments: argparse.Namespace) -> None:
    """Print it."""
    command_line.check_counts(arguments, "max_length")
    text = sample.show_sample(
        arguments.model, arguments.data, arguments.id, max_length=arguments.max_length, colour=arguments.colour
    )
    print(text)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--model", type=Path, required=True, help="folder with the tokenizer")
    made.add_argument("--data", type=Path, required=True, help="rows with prompt, response, optionally id")
    made.add_argument("--id", help="id of the sample; without it, the first sample is shown")
    made.add_argument("--max-length", type=int, default=1024, help="largest number of tokens; a longer sample is cut")
    made.add_argument("--colour", action="store_true", help="use colours of a terminal: tokens with a loss are green")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
