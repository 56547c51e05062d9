"""Draw Figure 1: heat maps of the activation patterns before and after fine-tuning and of their change."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line


def main(arguments: argparse.Namespace) -> None:
    """Read the tables and write the figure in three formats."""
    from headpatterns.presentation import inputs, style
    from headpatterns.studies.adaptation import figure1

    runs = inputs.read_run_table(arguments.runs)
    patterns = inputs.read_table(arguments.patterns, figure1.TEXT, figure1.NUMBERS)
    with style.applied():
        style.save(figure1.draw(runs, patterns, arguments.patterns), arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--runs", type=Path, required=True, help="run table (runs.csv)")
    p.add_argument("--patterns", type=Path, required=True, help="analysis/patterns.csv")
    p.add_argument(
        "--output", type=Path, required=True, help="figure without its suffix; .pdf, .svg and .png are added"
    )
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
