"""Draw Figure 4: R² of basic tasks, alone, in pairs and all together, for the change of a complex task."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line


def main(arguments: argparse.Namespace) -> None:
    """Read the tables and write the figure in three formats."""
    from headpatterns.presentation import inputs, style
    from headpatterns.studies.composition import figure4

    runs = inputs.read_run_table(arguments.runs)
    composition = inputs.read_table(arguments.composition, figure4.TEXT, figure4.NUMBERS)
    with style.applied():
        style.save(figure4.draw(runs, composition, arguments.composition), arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--runs", type=Path, required=True, help="run table (runs.csv)")
    p.add_argument("--composition", type=Path, required=True, help="analysis/composition.csv")
    p.add_argument(
        "--output", type=Path, required=True, help="figure without its suffix; .pdf, .svg and .png are added"
    )
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
