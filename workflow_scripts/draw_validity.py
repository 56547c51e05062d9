"""Draw whether patterns predict what ablating heads does to the loss, before and after fine-tuning."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line


def main(arguments: argparse.Namespace) -> None:
    """Read the tables and write the figure in three formats."""
    from headpatterns.presentation import inputs, style
    from headpatterns.studies.validity import figure as validity

    runs = inputs.read_run_table(arguments.runs)
    correlations = inputs.read_table(arguments.correlations, validity.TEXT, validity.NUMBERS)
    groups = inputs.read_table(arguments.groups, validity.GROUP_TEXT, validity.GROUP_NUMBERS)
    with style.applied():
        style.save(validity.draw(runs, correlations, groups, arguments.correlations), arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--runs", type=Path, required=True, help="run table (runs.csv)")
    p.add_argument("--correlations", type=Path, required=True, help="analysis/validity.csv")
    p.add_argument("--groups", type=Path, required=True, help="analysis/validity_groups.csv")
    p.add_argument(
        "--output", type=Path, required=True, help="figure without its suffix; .pdf, .svg and .png are added"
    )
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
