"""Compare the numbers that README and docs quote with an experiment's tables, or update them from these."""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.errors import InputError
from headpatterns.report import machines, quotes


def main(arguments: argparse.Namespace) -> None:
    """Check the quotes, and print those outside their intervals; with --publish or --renew, update them."""
    if arguments.publish and not arguments.provenance:
        raise InputError("--publish needs --provenance, the provenance.json of the experiment.")
    listed = quotes.read(arguments.quotes, arguments.source)
    if arguments.source and not listed:
        raise InputError(
            f"{arguments.quotes} has no row with the source {arguments.source}: add rows with that source."
        )
    if arguments.renew:
        quotes.renew(listed, arguments.project, arguments.analysis)
        return
    if arguments.publish:
        files = {figure.name: figure for figure in arguments.publish} | {"published.json": arguments.provenance}
        quotes.publish(listed, arguments.project, arguments.analysis, files)
        return
    rows = quotes.check(listed, arguments.project, arguments.analysis)
    outside = quotes.write_checked(arguments.output, rows)
    print("\n".join([*outside, f"{len(outside)} of {len(rows)} quoted numbers are outside their interval."]))
    if arguments.provenance and (
        said := machines.sentence(arguments.published, arguments.provenance, arguments.widths)
    ):
        print(said)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--quotes", type=Path, required=True, help="CSV of the quotes, docs/quoted.csv")
    made.add_argument(
        "--source", default="", help="check the quotes from this published folder; without it, those from a run"
    )
    made.add_argument("--project", type=Path, default=Path(), help="folder of the files that have the quotes")
    made.add_argument("--analysis", type=Path, required=True, help="folder of the experiment's tables")
    kind = made.add_mutually_exclusive_group(required=True)
    kind.add_argument("--output", type=Path, help="CSV that says for each quote whether it is in its interval")
    kind.add_argument(
        "--publish", type=Path, nargs="+", metavar="FIGURE", help="renew the quotes, and copy these figures"
    )
    kind.add_argument("--renew", action="store_true", help="renew only the quotes")
    made.add_argument("--provenance", type=Path, help="provenance.json of the experiment; required by --publish")
    made.add_argument(
        "--published", type=Path, default=Path("docs/published.json"), help="provenance.json of the quoted numbers"
    )
    made.add_argument(
        "--widths",
        type=Path,
        default=Path("docs/vector_widths.csv"),
        help="CSV that says how much vector instructions change numbers",
    )
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
