"""HellaSwag: which of four endings continues an activity."""

import random
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

from headpatterns.data.embedded import activities, world
from headpatterns.data.embedded.files_of_rows import write_jsonl
from headpatterns.data.embedded.sampling import Row, draw_rows, shuffled


@cache
def contexts(activity: activities.Activity) -> dict[tuple[str, ...], tuple[int, list[str]]]:
    """All different texts of one or two steps, with the index of the next step and the possible things of the text."""
    found: dict[tuple[str, ...], tuple[int, list[str]]] = {}
    for end in range(1, len(activity.steps)):
        for start in range(max(0, end - 2), end):
            for thing in activity.objects:
                told = tuple(step.format(x=thing) for step in activity.steps[start:end])
                found.setdefault(told, (end, []))[1].append(thing)
    return found


def draw_context(rng: random.Random, activity: activities.Activity) -> tuple[tuple[str, ...], int, str]:
    """One or two steps of an activity, the index of the next step, and the thing that the steps are about."""
    told = rng.choice(list(contexts(activity)))
    end, things = contexts(activity)[told]
    return told, end, rng.choice(things)


def next_step(rng: random.Random, kinds: Sequence[activities.Activity]) -> tuple[str, str, str, list[str], int]:
    """Label of an activity, one or two of its steps, a pronoun, four steps, and the index of the one that follows.

    Wrong endings are steps that continue other contexts, with the same frequencies: one of this activity, and two of
    others with the same thing. First steps are not used, because they continue nothing and would be easy to exclude.
    The same is true of steps with other things.
    """
    activity = rng.choice(kinds)
    person, pronoun = rng.choice(list(world.PEOPLE.items()))
    told, end, thing = draw_context(rng, activity)
    sentences = [f"{person} {told[0]}.", *(f"{pronoun.capitalize()} {step}." for step in told[1:])]
    same = end
    while same == end:
        _, same, _ = draw_context(rng, activity)
    others = rng.sample([other for other in kinds if other is not activity], 2)
    wrong = [activity.steps[same], *(other.steps[draw_context(rng, other)[1]] for other in others)]
    endings, label = shuffled(
        rng, f"{activity.steps[end].format(x=thing)}.", [f"{step.format(x=thing)}." for step in wrong]
    )
    return activity.label, " ".join(sentences), pronoun, endings, label


def continuation_row(rng: random.Random, split: str) -> tuple[str, Row]:
    """One or two steps of an activity, the next step, and wrong endings."""
    activity, context, pronoun, endings, label = next_step(rng, activities.ACTIVITIES)
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
