"""HellaSwag: which of four endings continues an activity."""

import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from headpatterns.data.embedded import activities, world
from headpatterns.data.embedded.files_of_rows import write_jsonl
from headpatterns.data.embedded.sampling import Row, draw_rows, shuffled


def next_step(rng: random.Random, kinds: Sequence[activities.Activity]) -> tuple[str, str, list[str], int]:
    """One or two steps of an activity behind its label, who goes on, four steps, and the index of the one that follows.

    Wrong endings are steps that other contexts continue with: one of this activity, and two of others with the same
    thing. A first step continues nothing and would give itself away, as another thing would.
    """
    activity = rng.choice(kinds)
    thing = rng.choice(activity.objects)
    person, pronoun = rng.choice(list(world.PEOPLE.items()))
    end = rng.randint(1, len(activity.steps) - 1)
    start = max(0, end - rng.randint(1, 2))
    told = [step.format(x=thing) for step in activity.steps[start:end]]
    sentences = [f"{person} {told[0]}.", *(f"{pronoun.capitalize()} {step}." for step in told[1:])]
    same = rng.choice([step for place, step in enumerate(activity.steps) if place not in (0, end)]).format(x=thing)
    others = rng.sample([other for other in kinds if other is not activity], 2)
    far = [rng.choice(other.steps[1:]).format(x=thing) for other in others]
    right = activity.steps[end].format(x=thing)
    endings, label = shuffled(rng, f"{right}.", [f"{step}." for step in (same, *far)])
    return f"{activity.label}: {' '.join(sentences)}", pronoun, endings, label


def continuation_row(rng: random.Random, split: str) -> tuple[str, Row]:
    """One or two steps of an activity; the next one, and wrong endings."""
    headed, pronoun, endings, label = next_step(rng, activities.ACTIVITIES)
    activity, _, context = headed.partition(": ")
    return f"{context} {pronoun}", {
        "activity_label": activity,
        "ctx_a": context,
        "ctx_b": pronoun,
        "ctx": f"{context} {pronoun}",
        "split": split,
        "split_type": "indomain",
        "label": label,
        "endings": endings,
        "source_id": f"embedded~v_{rng.getrandbits(40):010x}",
    }


def write_hellaswag(folder: Path, train: int, test: int, seed: int) -> None:
    """`hellaswag_{train,val}.jsonl`; the probe rows are upstream's `val`, whose labels are known."""
    for split, name, count in (("train", "train", train), ("test", "val", test)):
        rows = draw_rows(partial(continuation_row, split=name), count, seed, "hellaswag", split)
        write_jsonl(folder / f"hellaswag_{name}.jsonl", ({"ind": number, **row} for number, row in enumerate(rows)))
