"""Draw Figure 5: correlation and squared difference between patterns during and before fine-tuning."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line


def main(arguments: argparse.Namespace) -> None:
    """Read the tables and write the figure in three formats."""
    from headpatterns.presentation import inputs, style
    from headpatterns.studies.dynamics import figure5

    runs = inputs.read_run_table(arguments.runs)
    dynamics = inputs.read_table(arguments.dynamics, figure5.TEXT, figure5.NUMBERS)
    with style.applied():
        style.save(figure5.draw(runs, dynamics, arguments.dynamics), arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--runs", type=Path, required=True, help="run table (runs.csv)")
    p.add_argument("--dynamics", type=Path, required=True, help="analysis/dynamics.csv")
    p.add_argument(
        "--output", type=Path, required=True, help="figure without its suffix; .pdf, .svg and .png are added"
    )
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
