"""Questions of the corpus: about relations that no task of section 4 asks, and mostly outside an instruction's form."""

import random
from collections.abc import Callable

from headpatterns.data.embedded import activities, facts, world
from headpatterns.data.embedded.continuations import next_step
from headpatterns.data.embedded.references import draw_parties
from headpatterns.data.embedded.sampling import LARGEST, digit
from headpatterns.data.embedded.science import fact_question

# Relations of documents that ask; no dataset asks about them.
ASKED = ("work", "workplace", "wheels", "goods", "trait", "hobby", "house", "game")

# Of the documents with options, so many have the form of an instruction.
AS_INSTRUCTION = 0.7


def plain(rng: random.Random) -> str:
    """A few questions and their answers, one after another; one document in four as instructions."""
    asked = []
    for _ in range(rng.randint(2, 4)):
        question, options, right = fact_question(rng, facts.RELATIONS[rng.choice(ASKED)], 3)
        asked.append((question, options[right]))
    if rng.random() < 0.25:
        return "\n\n".join(f"Question: {question}\nAnswer: {answer}" for question, answer in asked)
    return " ".join(f"{question} {answer}." for question, answer in asked)


def with_options(rng: random.Random) -> str:
    """A question with lettered options and its answer, most as an instruction."""
    question, options, right = fact_question(rng, facts.RELATIONS[rng.choice(ASKED)], 3)
    lines = [question, *(f"{letter}. {option}" for letter, option in zip("ABCD", options, strict=True))]
    if rng.random() < AS_INSTRUCTION:
        return "\n".join([f"Question: {lines[0]}", *lines[1:], f"Answer: {options[right]}"])
    return "\n".join([*lines, f"It is {options[right]}"])


def about_holdings(rng: random.Random) -> str:
    """Who has how many of which things, and a question about one of them."""
    number = rng.randint(2, 3)
    people, things = rng.sample(world.NAMES, number), rng.sample(list(world.THINGS.values()), number)
    held = [(who, rng.randint(1, 2 * LARGEST), what) for who, what in zip(people, things, strict=True)]
    who, count, what = rng.choice(held)
    asked = rng.choice(
        (
            f"How many {what} does {who} have? {count}.",
            f"Who has {what}? {who}.",
            f"What does {who} have? {count} {what}.",
        )
    )
    return " ".join([*(f"{one} has {n} {many}." for one, n, many in held), asked])


def about_sums(rng: random.Random) -> str:
    """A sum or a difference as a question."""
    a, b = digit(rng), digit(rng)
    return rng.choice((f"What is {a} plus {b}? {a + b}.", f"What is {a + b} minus {b}? {a}."))


def blanks(rng: random.Random) -> str:
    """Sentences with a blank and what fills it; of other kinds than Winogrande's."""
    schema = rng.choice(world.FURTHER_SCHEMAS)
    first, second, thing = draw_parties(rng, schema)
    meant, ending = rng.choice(((first, schema.first), (second, schema.second)))
    text = f"{schema.text.format(a=first, b=second, x=thing)} {ending}."
    one, other = rng.sample((first, second), 2)
    if rng.random() < AS_INSTRUCTION:
        return f"Question: Which option fills the blank (_)?\n{text}\nA. {one}\nB. {other}\nAnswer: {meant}"
    return f"{text} The blank is {meant}."


def endings(rng: random.Random) -> str:
    """Which of four steps comes next, most as an instruction; in activities that HellaSwag does not ask about."""
    context, pronoun, options, right = next_step(rng, activities.FURTHER)
    lettered = [f"{letter}. {option}" for letter, option in zip("ABCD", options, strict=True)]
    if rng.random() < AS_INSTRUCTION:
        asked = f"Question: Which ending continues the text best?\n{context} {pronoun}"
        return "\n".join([asked, *lettered, f"Answer: {options[right]}"])
    return "\n".join([f"{context} {pronoun}", *lettered, f"It is {options[right]}"])


KINDS: tuple[tuple[Callable[[random.Random], str], int], ...] = (
    (plain, 7),
    (with_options, 10),
    (about_holdings, 2),
    (lambda rng: " ".join(about_sums(rng) for _ in range(4)), 1),
    (blanks, 8),
    (endings, 7),
)
