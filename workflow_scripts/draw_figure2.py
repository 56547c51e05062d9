"""Draw Figure 2: correlation between tasks before and after fine-tuning and of change rates, in two orders of tasks."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line


def main(arguments: argparse.Namespace) -> None:
    """Read the tables and write both views of the figure in three formats."""
    from headpatterns.presentation import inputs, style
    from headpatterns.studies.adaptation import figure2

    runs = inputs.read_run_table(arguments.runs)
    similarity = inputs.read_table(arguments.similarity, figure2.TEXT, figure2.NUMBERS)
    # A single task has no pair, and so no row in the summary.
    summary = inputs.read_table(arguments.summary, figure2.SUMMARY_TEXT, figure2.SUMMARY_NUMBERS, may_be_empty=True)
    with style.applied():
        for output, clustered in ((arguments.output, False), (arguments.clustered_output, True)):
            style.save(figure2.draw(runs, similarity, summary, clustered, arguments.similarity), output)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--runs", type=Path, required=True, help="run table (runs.csv)")
    p.add_argument("--similarity", type=Path, required=True, help="analysis/similarity.csv")
    p.add_argument("--summary", type=Path, required=True, help="analysis/similarity_summary.csv")
    p.add_argument("--output", type=Path, required=True, help="figure in run-table order, without its suffix")
    p.add_argument("--clustered-output", type=Path, required=True, help="figure in cluster order, without its suffix")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
