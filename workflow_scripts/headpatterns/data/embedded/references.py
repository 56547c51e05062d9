"""Winogrande: twin sentences in which the last words decide who or what is meant."""

import random
import string
from pathlib import Path

from headpatterns.data.embedded import world
from headpatterns.data.embedded.files_of_rows import write_jsonl, write_lines
from headpatterns.data.embedded.sampling import Row, draw_rows


def sentence(text: str) -> str:
    """The text with a capital letter at its start."""
    return text[0].upper() + text[1:]


def drawn(rng: random.Random, schema: world.Schema) -> tuple[str, str, str]:
    """The text of a schema up to its last words, and its two parties."""
    first, second = (rng.choice(kind) for kind in schema.parties)
    return sentence(schema.text.format(a=first, b=second, x=rng.choice(schema.objects))), first, second


def twins(rng: random.Random) -> tuple[str, Row]:
    """Both sentences of a pair under the key `rows`; they differ only in the trigger and the answer."""
    schema = rng.choice(world.SCHEMAS)
    text, first, second = drawn(rng, schema)
    identity = "".join(rng.choices(string.ascii_uppercase + string.digits, k=30))
    endings = [(schema.first, first), (schema.second, second)]
    rng.shuffle(endings)
    # In random order, options reveal nothing about the parties, and a trigger alone nothing about the answer.
    options = rng.sample((first, second), 2)
    rows = [
        {
            "qID": f"{identity}-{number}",
            "sentence": f"{text} {trigger}.",
            "option1": options[0],
            "option2": options[1],
            "answer": str(1 + options.index(meant)),
        }
        for number, (trigger, meant) in enumerate(endings, start=1)
    ]
    return text, {"rows": rows}


def write_winogrande(folder: Path, train: int, test: int, seed: int) -> None:
    """`train_l.jsonl` and `dev.jsonl` with their `-labels.lst`; an odd count leaves the last twin alone."""
    for split, name, count in (("train", "train_l", train), ("test", "dev", test)):
        pairs = draw_rows(twins, (count + 1) // 2, seed, "winogrande", split, "pairs")
        rows = [row for pair in pairs for row in pair["rows"]][:count]
        write_jsonl(folder / f"{name}.jsonl", rows)
        write_lines(folder / f"{name}-labels.lst", (row["answer"] for row in rows))
