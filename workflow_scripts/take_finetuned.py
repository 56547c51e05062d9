"""Use a model that was fine-tuned elsewhere as a run of its base, if both have the same heads and tokens."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.models.elsewhere import take


def main(arguments: argparse.Namespace) -> None:
    """Take it."""
    take(arguments.base, arguments.finetuned, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--base", type=Path, required=True, help="folder of the model that it was trained from")
    made.add_argument(
        "--finetuned", type=Path, required=True, help="folder of the fine-tuned model in Hugging Face layout"
    )
    made.add_argument("--output", type=Path, required=True, help="folder of the run to write")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
