"""Write Table 2: accuracy on a complex task with and without mixing basic tasks first."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line


def main(arguments: argparse.Namespace) -> None:
    """Read the accuracies and write the table in three formats."""
    from headpatterns.experiment import variants as evaluations
    from headpatterns.presentation import grids, inputs
    from headpatterns.studies import accuracies as tables

    variants = evaluations.read_variants(arguments.variants, "mixing")
    rows = inputs.read_table(arguments.mixing, tables.MIXING_TEXT, tables.ACCURACY_NUMBERS)
    table = tables.table2(variants, rows, arguments.mixing)
    grids.write(table, tables.table2_grids(table), arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--variants", type=Path, required=True, help="variants.csv, for labels and order")
    p.add_argument("--mixing", type=Path, required=True, help="analysis/mixing.csv")
    p.add_argument("--output", type=Path, required=True, help="table without its suffix; .csv, .md and .tex are added")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
