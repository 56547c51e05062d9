"""Write Table 1: Gini coefficient, coefficient of variation and kurtosis before and after fine-tuning."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line


def main(arguments: argparse.Namespace) -> None:
    """Read the two distributions and write the table in three formats."""
    from headpatterns.presentation import grids, inputs
    from headpatterns.studies.adaptation import table1 as tables

    runs = inputs.read_run_table(arguments.runs)
    by_task = inputs.read_table(arguments.distribution, tables.TASK_TEXT, tables.NUMBERS)
    by_model = inputs.read_table(arguments.by_model, tables.MODEL_TEXT, tables.NUMBERS)
    table = tables.table1(runs, by_task, by_model, arguments.distribution)
    grids.write(table, tables.table1_grids(table), arguments.output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--runs", type=Path, required=True, help="run table (runs.csv)")
    p.add_argument("--distribution", type=Path, required=True, help="analysis/distribution.csv")
    p.add_argument("--by-model", type=Path, required=True, help="analysis/distribution_by_model.csv")
    p.add_argument("--output", type=Path, required=True, help="table without its suffix; .csv, .md and .tex are added")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
