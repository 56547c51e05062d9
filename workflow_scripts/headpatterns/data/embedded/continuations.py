"""HellaSwag: which of four endings continues an activity."""

import random
from functools import partial
from pathlib import Path

from headpatterns.data.embedded import activities, world
from headpatterns.data.embedded.files_of_rows import write_jsonl
from headpatterns.data.embedded.sampling import Row, draw_rows, shuffled


def continuation_row(rng: random.Random, split: str) -> tuple[str, Row]:
    """One or two steps of an activity; the next one, and steps of other activities as wrong endings."""
    activity = rng.choice(activities.ACTIVITIES)
    thing = rng.choice(activity.objects)
    person, pronoun = rng.choice(list(world.PEOPLE.items()))
    end = rng.randint(1, len(activity.steps) - 1)
    start = max(0, end - rng.randint(1, 2))
    told = [step.format(x=thing) for step in activity.steps[start:end]]
    sentences = [f"{person} {told[0]}.", *(f"{pronoun.capitalize()} {step}." for step in told[1:])]
    others = rng.sample([other for other in activities.ACTIVITIES if other is not activity], 3)
    wrong = [f"{rng.choice(other.steps).format(x=rng.choice(other.objects))}." for other in others]
    endings, label = shuffled(rng, f"{activity.steps[end].format(x=thing)}.", wrong)
    context = " ".join(sentences)
    return f"{context} {pronoun}", {
        "activity_label": activity.label,
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
