"""Check that the responses of evaluation sets fit into the positions of the models that read them."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.evaluation import checks, options


def main(arguments: argparse.Namespace) -> None:
    """Tokenize every set as the models will read it and write its lengths."""
    checks.lengths(options.asked(arguments), arguments.read_by, arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    options.add(p)
    p.add_argument(
        "--read-by",
        nargs="+",
        action="append",
        required=True,
        metavar=("TOKENIZER", "POSITIONS"),
        help="TOKENIZER POSITIONS NAME...: folder of a tokenizer, number of positions of the model, and the sets "
        "that it reads",
    )
    p.add_argument(
        "--output", type=Path, required=True, help="CSV: longest text of each set, and number of shortened items"
    )
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
