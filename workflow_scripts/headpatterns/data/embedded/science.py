"""ARC: science questions with four, sometimes three, options."""

import random
from pathlib import Path

from headpatterns.data.embedded import facts, world
from headpatterns.data.embedded.files_of_rows import write_jsonl
from headpatterns.data.embedded.sampling import Row, among, draw_rows

SCIENCE = (
    *("food", "home", "group", "legs", "plant", "body"),
    *("material", "change", "formula", "measure", "device", "force", "sky"),
)
INTRODUCTIONS = ("{} asks: ", "{} wants to know: ", "{} has this task: ")
# Shares of rows whose labels are 1-4 instead of A-D, and of rows with three options.
NUMBERED, SHORT = 0.1, 0.05


def fact_question(rng: random.Random, relation: facts.Relation, wrong: int) -> tuple[str, list[str], int]:
    """A question about one fact in one of its directions, its options and the index of the correct one."""
    subject, value = rng.choice(list(relation.pairs.items()))
    if rng.random() < 0.5:
        return relation.forward.format(s=subject), *among(rng, value, relation.pairs.values(), wrong)
    return relation.backward.format(v=value), *among(rng, subject, relation.pairs, wrong)


def introduced(rng: random.Random, question: str) -> str:
    """The question, sometimes with an introduction that says who asks it."""
    return rng.choice(("", *INTRODUCTIONS)).format(rng.choice(world.NAMES)) + question


def science_row(rng: random.Random) -> tuple[str, Row]:
    """A question in the upstream schema, sometimes with an introduction that says who asks it."""
    relation = facts.RELATIONS[rng.choice(SCIENCE)]
    question, options, index = fact_question(rng, relation, 2 if rng.random() < SHORT else 3)
    stem = introduced(rng, question)
    labels = "1234" if rng.random() < NUMBERED else "ABCD"
    choices = [{"text": text, "label": label} for text, label in zip(options, labels, strict=False)]
    return stem, {
        "id": f"Embedded_{rng.getrandbits(32):010d}",
        "question": {"stem": stem, "choices": choices},
        "answerKey": labels[index],
    }


def write_arc(folder: Path, train: int, test: int, seed: int) -> None:
    """`ARC-Easy/ARC-Easy-{Train,Test}.jsonl`."""
    for split, count in (("train", train), ("test", test)):
        rows = draw_rows(science_row, count, seed, "arc", split)
        write_jsonl(folder / "ARC-Easy" / f"ARC-Easy-{split.capitalize()}.jsonl", rows)
