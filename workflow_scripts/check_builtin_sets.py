"""Check that OpenCompass's own evaluation sets can be evaluated: their configurations generate text and data exist.

Runs with the interpreter of envs/opencompass.txt.
"""

import argparse
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.evaluation import checks


def main(arguments: argparse.Namespace) -> None:
    """Read the data of every set and write the number of items of each of its datasets."""
    checks.builtin_sets(
        arguments.builtin,
        arguments.opencompass_data.absolute(),
        arguments.work_folder.absolute(),
        arguments.output.absolute(),
    )


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
        help="a built-in evaluation set of OpenCompass, such as ARC_c/ARC_c_gen_1e0de5; once for each set",
    )
    add("--opencompass-data", type=Path, required=True, help="folder whose `data/` has their data")
    add("--work-folder", type=Path, required=True, help="folder of OpenCompass's files; removed before and after")
    add("--output", type=Path, required=True, help="CSV: items of each dataset of each set")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
