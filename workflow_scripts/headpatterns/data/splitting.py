"""Training and probe set of one dataset: seeded samples that share nothing.

Every choice is made by rank, the SHA-256 of the seed and the sample's id, so that it depends neither on the order of
files and rows nor on how many there are; the first n samples of a larger sample are the sample of n.
"""

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from headpatterns.data.records import Instruction
from headpatterns.errors import InputError


def normalised(text: str) -> str:
    """`text` as it is compared: compatibility forms (NFKC), case and white space are levelled."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def rank(seed: int, key: str) -> str:
    """The place of `key` in the seeded order, as a hexadecimal number of fixed width."""
    return hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()


FEWEST_OF_TWO = 4
"""Samples that make two sets of two samples."""


def two_sets(count: int, most: int) -> tuple[int, int]:
    """Sizes of two sets without a sample in common, of `count` samples: `most` in each, or half of all there are."""
    half = min(most, count // 2)
    return half, min(most, count - half)


def deduplicate(instructions: Sequence[Instruction]) -> list[Instruction]:
    """One instruction for each normalised prompt and response, in the order of ids; the smallest id stays."""
    kept: dict[tuple[str, str], Instruction] = {}
    for one in sorted(instructions, key=lambda one: (one.id, one.prompt, one.response)):
        kept.setdefault((normalised(one.prompt), normalised(one.response)), one)
    return list(kept.values())


def without_overlap(train: Sequence[Instruction], probe: Sequence[Instruction]) -> list[Instruction]:
    """The instructions of `train` whose normalised prompt is not also one of `probe`."""
    probed = {normalised(one.prompt) for one in probe}
    return [one for one in train if normalised(one.prompt) not in probed]


def with_unique_ids(
    train: Sequence[Instruction], probe: Sequence[Instruction]
) -> tuple[list[Instruction], list[Instruction]]:
    """Both splits with ids that occur once: where several samples share one, each is told apart by its content."""
    times = Counter(one.id for split in (train, probe) for one in split)

    def named(one: Instruction) -> Instruction:
        if times[one.id] == 1:
            return one
        content = hashlib.sha256(f"{one.prompt}\0{one.response}".encode()).hexdigest()
        return replace(one, id=f"{one.id}~{content[:12]}")

    return [named(one) for one in train], [named(one) for one in probe]


def hold_out(
    instructions: Sequence[Instruction], samples: int, seed: int
) -> tuple[list[Instruction], list[Instruction]]:
    """Split into (rest, held out): whole groups in seeded order until at least `samples` instructions are held out."""
    groups = defaultdict(list)
    for one in instructions:
        groups[one.group].append(one)
    held: list[Instruction] = []
    rest: list[Instruction] = []
    for group in sorted(groups, key=lambda group: (rank(seed, group), group)):
        (held if len(held) < samples else rest).extend(groups[group])
    return rest, held


def sample(instructions: Sequence[Instruction], samples: int | None, seed: int) -> list[Instruction]:
    """The first `samples` instructions in seeded order: all where there are fewer, or where it is None."""
    return sorted(instructions, key=lambda one: (rank(seed, one.id), one.id))[:samples]


def check_disjoint(dataset: str, train: Sequence[Instruction], probe: Sequence[Instruction]) -> None:
    """Assert that no id occurs twice and that no probe prompt is also a training prompt.

    Raises:
        InputError: naming the dataset and one of the shared samples.
    """
    times = Counter(one.id for split in (train, probe) for one in split)
    repeated = sorted(name for name, count in times.items() if count > 1)
    if repeated:
        raise InputError(
            f"The id {repeated[0]} occurs {times[repeated[0]]} times in {dataset}: give every row its own."
        )
    trained = {normalised(one.prompt): one.id for one in train}
    for one in probe:
        if normalised(one.prompt) in trained:
            raise InputError(
                f"The probe sample {one.id} of {dataset} has the prompt of the training sample "
                f"{trained[normalised(one.prompt)]}: take one of them out."
            )
