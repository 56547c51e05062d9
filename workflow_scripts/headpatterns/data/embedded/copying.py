"""Documents that repeat earlier text: words, holdings, lists with letters.

A model must copy to answer from a text. A tiny model learns this from documents that consist only of repetition.
"""

import random
from collections.abc import Callable

from headpatterns.data.embedded import activities, facts, world
from headpatterns.data.embedded.sampling import LARGEST

# Words of the world, including those of its special facts: each word is known, but not which ones form a fact.
SPECIAL = sorted({word for *_, pairs in facts.SPECIAL.values() for pair in pairs.items() for word in pair})
WORDS = (*world.NAMES, *world.THINGS, *world.CONTAINERS, *world.VESSELS, *SPECIAL)
LETTERS = "ABCD"
STEPS = tuple(
    step.format(x=thing) for activity in activities.ACTIVITIES for step in activity.steps for thing in activity.objects
)


def words(rng: random.Random) -> str:
    """A list of words and the same list again."""
    listed = " ".join(rng.choices(WORDS, k=rng.randint(4, 10)))
    return f"{listed}\n{listed}"


def held(rng: random.Random, most: int) -> list[tuple[str, int, str]]:
    """People with numbers of things: at least two people, and at most `most`."""
    number = rng.randint(2, most)
    people, things = rng.sample(world.NAMES, number), rng.sample(list(world.THINGS.values()), number)
    return [(who, rng.randint(1, 2 * LARGEST), what) for who, what in zip(people, things, strict=True)]


def holdings(rng: random.Random) -> str:
    """People with numbers of things, and the same again in another order."""
    told = [f"{who} has {count} {what}." for who, count, what in held(rng, 4)]
    return " ".join([*told, *rng.sample(told, len(told))])


def lettered(rng: random.Random) -> str:
    """A list with letters, and the entries of three of them."""
    values = sorted(set(rng.choice(list(facts.RELATIONS.values())).pairs.values()))
    (kind,) = rng.choices((WORDS, values, STEPS), (2, 2, 1))
    listed = rng.sample(kind, 4)
    lines = [f"{letter}. {text}" for letter, text in zip(LETTERS, listed, strict=True)]
    return "\n".join([*lines, *(f"At {LETTERS[place]}: {listed[place]}" for place in rng.sample(range(4), 3))])


KINDS: tuple[tuple[Callable[[random.Random], str], int], ...] = (
    (holdings, 3),
    (lettered, 4),
    (words, 2),
)
