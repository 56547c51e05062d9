"""The generators by the name of the dataset whose files they write."""

from collections.abc import Callable
from pathlib import Path

from headpatterns.data.embedded.assistance import write_infinity_instruct
from headpatterns.data.embedded.chinese import write_mathbench, write_refgpt
from headpatterns.data.embedded.code import write_codesearchnet
from headpatterns.data.embedded.continuations import write_hellaswag
from headpatterns.data.embedded.mathematics import write_math
from headpatterns.data.embedded.references import write_winogrande
from headpatterns.data.embedded.science import write_arc
from headpatterns.data.embedded.subjects import write_mmlu
from headpatterns.data.embedded.word_problems import write_gsm8k, write_sgsm
from headpatterns.errors import InputError
from headpatterns.io import atomic_path

# Each takes a folder, the numbers of train and test rows and the seed.
GENERATORS: dict[str, Callable[[Path, int, int, int], None]] = {
    "math": write_math,
    "gsm8k": write_gsm8k,
    "codesearchnet": write_codesearchnet,
    "sgsm": write_sgsm,
    "hellaswag": write_hellaswag,
    "winogrande": write_winogrande,
    "arc": write_arc,
    "infinity_instruct": write_infinity_instruct,
    "mathbench": write_mathbench,
    "refgpt": write_refgpt,
    "mmlu": write_mmlu,
}

UNSPLIT = ("mathbench",)
"""Datasets whose files have the train and the test rows together."""


def generate(name: str, folder: Path, train: int, test: int, seed: int) -> None:
    """Write the files of one dataset into `folder`, which is replaced completely.

    Args:
        name: a generator.
        folder: where the files are written.
        train: rows of a training file.
        test: rows of a test file.
        seed: of all draws.

    Raises:
        InputError: the generator is unknown, a number of rows is below one, or the world has fewer different rows.
    """
    if name not in GENERATORS:
        raise InputError(f"generator {name!r} does not exist; choose one of {', '.join(GENERATORS)}")
    for option, count in (("train", train), ("test", test)):
        if count < 1:
            raise InputError(f"generator {name}: {option} is {count}; ask for at least one row")
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        GENERATORS[name](temporary, train, test, seed)
