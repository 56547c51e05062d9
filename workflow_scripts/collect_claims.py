"""Compare the paper's statements with the measured effects: which hold, which do not, which are undecided."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.studies import commands


def main(arguments: argparse.Namespace) -> None:
    """Write one row for each statement and number that it is about, and the statements that are left out."""
    commands.collect_claims(
        command_line.by_name(arguments.effects, "--effects", "NAME=PATH"),
        (arguments.competence, arguments.answers),
        command_line.by_name(arguments.stands_for, "--stands-for", "MODEL=PAPER_MODEL"),
        arguments.output,
        arguments.left_out_output,
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--effects", nargs="*", default=[], metavar="NAME=PATH", help="tables of effects, by name")
    p.add_argument(
        "--competence", type=Path, help="CSV of the tasks that models have learnt; leave it out if that is unknown"
    )
    p.add_argument(
        "--answers", type=Path, help="CSV of the answers of variants; leave it out if there are no evaluations"
    )
    p.add_argument(
        "--stands-for",
        nargs="*",
        default=[],
        metavar="MODEL=PAPER_MODEL",
        help="the model of the paper whose values are shown next to those of a model here",
    )
    p.add_argument("--output", type=Path, required=True, help="CSV of statements with numbers, intervals and verdicts")
    p.add_argument("--left-out-output", type=Path, required=True, help="CSV of the statements that are left out")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
