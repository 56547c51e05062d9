"""Hold the paper's statements of sections 4 and 5 against the analysis: which hold, which fail or stay undecided."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns import tidy
from headpatterns.errors import InputError
from headpatterns.studies import claims


def main(arguments: argparse.Namespace) -> None:
    """Write one row for each statement and model, for the studies whose tables are given."""
    rows = []
    if arguments.distribution_by_model:
        rows += claims.distribution_claims(arguments.distribution_by_model)
    if arguments.similarity_summary:
        rows += claims.similarity_claims(arguments.similarity_summary)
    if arguments.similarity:
        rows += claims.pair_claims(arguments.similarity)
    if arguments.expected_pair:
        if not (arguments.composition and arguments.composition_by_model):
            raise InputError("--expected-pair needs --composition and --composition-by-model: give both tables.")
        rows += claims.composition_claims(
            arguments.composition, arguments.composition_by_model, arguments.expected_pair
        )
    if arguments.dynamics:
        rows += claims.dynamics_claims(arguments.dynamics, arguments.changes_most)
    if arguments.mixing_differences:
        rows += claims.mixing_claims(arguments.mixing_differences)
    if arguments.selection_differences:
        rows += claims.selection_claims(arguments.selection_differences)
    tidy.write(arguments.output, claims.COLUMNS, rows)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--distribution-by-model", type=Path, help="CSV of analyse_distribution")
    p.add_argument("--similarity-summary", type=Path, help="CSV of analyse_similarity: means over pairs of tasks")
    p.add_argument("--similarity", type=Path, help="CSV of analyse_similarity: every pair of tasks")
    p.add_argument("--composition", type=Path, help="CSV of analyse_composition: R² and null")
    p.add_argument("--composition-by-model", type=Path, help="CSV of analyse_composition: mean R² over seeds, rank")
    p.add_argument("--dynamics", type=Path, help="CSV of analyse_dynamics")
    p.add_argument(
        "--expected-pair",
        action="append",
        metavar="GROUP=TASK+TASK",
        help="basic tasks that should explain the complex task of a group best; once for each group",
    )
    p.add_argument("--changes-most", metavar="MODEL", help="model whose patterns should change most")
    p.add_argument("--mixing-differences", type=Path, help="CSV of analyse_mixing: differences in accuracy")
    p.add_argument("--selection-differences", type=Path, help="CSV of analyse_selection: differences in accuracy")
    p.add_argument("--output", type=Path, required=True, help="CSV of statements with value, interval and verdict")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
