"""Check that OpenCompass's own evaluation sets can be evaluated: their configurations generate and have their data.

Runs under the interpreter of envs/opencompass.txt.
"""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns import tidy
from headpatterns.evaluation import builtins
from headpatterns.io import remove

COLUMNS = ("set", "dataset", "items")


def main(arguments: argparse.Namespace) -> None:
    """Read the data of every set and write how many items each of its datasets has."""
    for option in ("output", "work_folder", "opencompass_data"):  # the working directory changes
        setattr(arguments, option, getattr(arguments, option).absolute())
    remove(arguments.work_folder)
    try:
        named = [(name, builtins.full_name(config)) for name, config in arguments.builtin]
        rows = read_sets(named, arguments)
    finally:
        remove(arguments.work_folder)
    tidy.write(arguments.output, COLUMNS, rows)


def read_sets(named: list[tuple[str, str]], arguments: argparse.Namespace) -> list[tuple[str, str, int]]:
    """The rows of the table, of sets and the full names of their configurations."""
    from headpatterns.evaluation import harness

    harness.isolate(arguments.work_folder, arguments.opencompass_data, threads=1)
    builtins.forbid_downloads()
    return [
        (name, abbr, builtins.count_items(config, abbr, dataset))
        for name, config in named
        for abbr, dataset in builtins.definitions(config).items()
    ]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    add = p.add_argument
    add(
        "--builtin",
        nargs=2,
        action="append",
        required=True,
        metavar=("NAME", "CONFIG"),
        help="an evaluation set of OpenCompass's own, such as ARC_c/ARC_c_gen_1e0de5; once for each set",
    )
    add("--opencompass-data", type=Path, required=True, help="folder above `data/` in which their data lie")
    add("--work-folder", type=Path, required=True, help="OpenCompass's files; removed before and after")
    add("--output", type=Path, required=True, help="CSV: items of each dataset of each set")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
