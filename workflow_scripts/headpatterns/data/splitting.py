"""Training and probe set of one dataset: seeded samples that share nothing.

Every choice is made by rank, the SHA-256 of the seed and the sample's id. So it depends neither on the order of files
and rows nor on their number, and the first n samples of a larger sample are the sample of n.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import TypeVar

from headpatterns.data.records import Instruction
from headpatterns.data.spool import Entry
from headpatterns.data.texts import normalised as normalised
from headpatterns.errors import InputError

One = TypeVar("One", Instruction, Entry)


def rank(seed: int, key: str) -> str:
    """The place of `key` in the seeded order, as a hexadecimal number of fixed width."""
    return _order(seed, key).hex()


FEWEST_OF_TWO = 4
"""The fewest samples that give two sets of two samples."""


def two_sets(count: int, most: int) -> tuple[int, int]:
    """Sizes of two sets without a common sample, from `count` samples: `most` in each, or half of all samples."""
    half = min(most, count // 2)
    return half, min(most, count - half)


def _order(seed: int, key: str) -> bytes:
    """Like `rank`, of half the size, because a million of them are sorted."""
    return hashlib.sha256(f"{seed}:{key}".encode()).digest()


def deduplicate(instructions: Sequence[One]) -> list[One]:
    """One instruction for each normalised prompt and response, in the order of ids; the smallest id stays."""
    seen: set[bytes] = set()
    kept = []
    for _, same in groupby(sorted(instructions, key=lambda one: one.id), key=lambda one: one.id):
        several = list(same)
        for one in several if len(several) == 1 else sorted(several, key=lambda one: (one.prompt, one.response)):
            if one.content_key not in seen:
                seen.add(one.content_key)
                kept.append(one)
    return kept


def without_overlap(train: Sequence[One], probe: Sequence[One]) -> list[One]:
    """The instructions of `train` whose normalised prompt is not also one of `probe`."""
    probed = {one.prompt_key for one in probe}
    return [one for one in train if one.prompt_key not in probed]


def with_unique_ids(train: Sequence[One], probe: Sequence[One]) -> tuple[list[One], list[One]]:
    """Both splits with unique ids: if several samples share an id, each gets a suffix from its content."""
    times = Counter(one.id for split in (train, probe) for one in split)

    def named(one: One) -> One:
        if times[one.id] == 1:
            return one
        content = hashlib.sha256(f"{one.prompt}\0{one.response}".encode()).hexdigest()
        return replace(one, id=f"{one.id}~{content[:12]}")

    return [named(one) for one in train], [named(one) for one in probe]


def hold_out(instructions: Sequence[One], samples: int, seed: int) -> tuple[list[One], list[One]]:
    """Split into (rest, held out): whole groups in seeded order until at least `samples` instructions are held out."""
    held: list[One] = []
    rest: list[One] = []
    ordered = sorted(instructions, key=lambda one: _order(seed, one.group))
    for _, group in groupby(ordered, key=lambda one: one.group):
        (held if len(held) < samples else rest).extend(group)
    return rest, held


def sample(instructions: Sequence[One], samples: int | None, seed: int) -> list[One]:
    """The first `samples` instructions in seeded order: all if there are fewer, or if it is None."""
    return sorted(instructions, key=lambda one: _order(seed, one.id))[:samples]


def check_disjoint(dataset: str, train: Sequence[One], probe: Sequence[One]) -> None:
    """Assert that no id occurs twice and that no probe prompt is also a training prompt.

    Raises:
        InputError: naming the dataset and one of the shared samples.
    """
    times = Counter(one.id for split in (train, probe) for one in split)
    repeated = sorted(name for name, count in times.items() if count > 1)
    if repeated:
        raise InputError(
            f"The id {repeated[0]} occurs {times[repeated[0]]} times in {dataset}: give every row its own id."
        )
    probed = {one.prompt_key: one.id for one in probe}
    for one in train:
        if one.prompt_key in probed:
            raise InputError(
                f"The probe sample {probed[one.prompt_key]} of {dataset} has the prompt of the training sample "
                f"{one.id}: remove one of the two."
            )
