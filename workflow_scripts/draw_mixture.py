"""Draw what the change of a complex task is made of: the basic tasks' coefficients by model, and the mixture."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line


def main(arguments: argparse.Namespace) -> None:
    """Read the tables and write the figure in three formats."""
    from headpatterns.presentation import inputs, style
    from headpatterns.studies.mixing import figure as mixture

    labels = command_line.by_name(arguments.task_label, "--task-label", "TASK=LABEL")
    variants = inputs.RunTable(arguments.variants, inputs.read_table(arguments.variants, mixture.VARIANT_TEXT))
    coefficients = inputs.read_table(arguments.coefficients, mixture.TEXT, mixture.NUMBERS)
    with style.applied():
        style.save(mixture.draw(variants, coefficients, labels, arguments.coefficients), arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument(
        "--variants", type=Path, required=True, help="variants.csv, of which models and their labels are used"
    )
    p.add_argument(
        "--task-label", action="append", default=[], metavar="TASK=LABEL", help="what to call a task; once for each"
    )
    p.add_argument("--coefficients", type=Path, required=True, help="analysis/mixture.csv")
    p.add_argument(
        "--output", type=Path, required=True, help="figure without its suffix; .pdf, .svg and .png are added"
    )
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
