"""Seeded draws: different rows, train and test without a common prompt, options in random order."""

import random
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from headpatterns.errors import InputError

# A split counts as exhausted after this many consecutive draws without a new row.
PATIENCE = 5_000
# One prompt in this many belongs to the test split.
TEST_SHARE = 5

# Numbers of the world are small, so that a tiny model can learn the tables of their sums and products. One of the two
# numbers of a sum or a difference (or the difference) has one digit, and so do both factors of a product.
LARGEST = 9
FACTORS = (2, 3, 4, 5)

Row = dict[str, Any]


def digit(rng: random.Random, most: int = LARGEST) -> int:
    """A number from 1 to 9 that is at most `most`."""
    return rng.randint(1, min(most, LARGEST))


def small_product(rng: random.Random) -> tuple[int, int]:
    """Both factors of a product that also has one digit."""
    return rng.choice([(a, b) for a in FACTORS for b in FACTORS if a * b <= LARGEST])


def factor(rng: random.Random) -> int:
    """One factor of a product."""
    return rng.choice(FACTORS)


def stream(seed: int, name: str, split: str) -> random.Random:
    """The random numbers of one split of one generator; each generator has its own."""
    return random.Random(f"{seed}:{name}:{split}")


def split_of(prompt: str) -> str:
    """The split, train or test, to which a prompt belongs, for every seed and number of rows.

    The prompt's CRC-32 decides. Datasets that share a prompt put it into the same split, so training prompts of one
    dataset are never in the test rows of another.
    """
    return "test" if zlib.crc32(prompt.encode()) % TEST_SHARE == 0 else "train"


def draw_rows(
    draw: Callable[[random.Random], tuple[str, Row]], count: int, seed: int, name: str, split: str, part: str = ""
) -> list[Row]:
    """`count` rows with all-different prompts, each of which belongs to `split`.

    `draw` takes random numbers and returns a prompt and its row. `part` names one of several sets of rows that a
    generator draws for the same split; each set has its own random numbers. The split "all" takes every prompt.

    Raises:
        InputError: the world has fewer different prompts than requested.
    """
    rng = stream(seed, f"{name}:{part}" if part else name, split)
    rows: dict[str, Row] = {}
    misses = 0
    while len(rows) < count:
        prompt, row = draw(rng)
        if prompt not in rows and split in ("all", split_of(prompt)):
            rows[prompt] = row
            misses = 0
            continue
        misses += 1
        if misses == PATIENCE:
            where = f"{split} ({part})" if part else split
            raise InputError(
                f"generator {name}, {where}: {count} rows were asked for and the embedded world has only about"
                f" {len(rows)} different ones; ask for fewer"
            )
    return list(rows.values())


def number_options(rng: random.Random, draw: Callable[[random.Random], tuple[str, int]]) -> tuple[str, list[str], int]:
    """One of four questions of `draw` with different answers, all four answers, and the index of its own.

    Each of the four has the same probability, so the frequency of an answer does not reveal the correct option.
    """
    found: dict[int, str] = {}
    while len(found) < 4:
        question, answer = draw(rng)
        found.setdefault(answer, question)
    options = rng.sample(sorted(found), 4)
    right = rng.randrange(4)
    return found[options[right]], [str(option) for option in options], right


def among(rng: random.Random, right: str, values: Iterable[str], wrong: int) -> tuple[list[str], int]:
    """The correct option and `wrong` wrong ones of some values in random order, and the index of the correct one."""
    return shuffled(rng, right, rng.sample(sorted({*values} - {right}), wrong))


def shuffled(rng: random.Random, right: str, wrong: list[str]) -> tuple[list[str], int]:
    """The options in random order, and the index of the correct one."""
    options = [right, *wrong]
    rng.shuffle(options)
    return options, options.index(right)
