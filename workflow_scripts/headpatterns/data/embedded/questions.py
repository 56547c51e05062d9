"""Questions of the corpus: about relations that no task of section 4 asks for, and mostly not as instructions."""

import random
from collections.abc import Callable

from headpatterns.data.embedded import activities, further_facts, world
from headpatterns.data.embedded.continuations import next_step
from headpatterns.data.embedded.copying import held
from headpatterns.data.embedded.references import drawn
from headpatterns.data.embedded.sampling import digit
from headpatterns.data.embedded.science import fact_question, introduced

RELATIONS = tuple(further_facts.RELATIONS.values())
# Share of the documents with questions that have the form of an instruction.
AS_INSTRUCTION = 0.45


def instruction(question: str, answer: str) -> str:
    """A question and its answer in the form of an instruction."""
    return f"Question: {question}\nAnswer: {answer}"


def of_facts(rng: random.Random) -> str:
    """A few questions about facts and their answers, one after another."""
    told = []
    for _ in range(rng.randint(2, 4)):
        question, options, right = fact_question(rng, rng.choice(RELATIONS), 0)
        told.append((introduced(rng, question), options[right]))
    if rng.random() < AS_INSTRUCTION:
        return "\n\n".join(instruction(question, answer) for question, answer in told)
    return " ".join(f"{question} {answer}." for question, answer in told)


def about_holdings(rng: random.Random) -> str:
    """People with numbers of things, and a question about one of them."""
    holdings = held(rng, 3)
    who, count, what = rng.choice(holdings)
    asked, answer = rng.choice(
        (
            (f"How many {what} does {who} have?", f"{count}"),
            (f"Who has {what}?", who),
            (f"What does {who} have?", f"{count} {what}"),
        )
    )
    told = " ".join(f"{one} has {n} {many}." for one, n, many in holdings)
    if rng.random() < AS_INSTRUCTION:
        return instruction(f"{told} {asked}", answer)
    return f"{told} {asked} {answer}."


def about_sums(rng: random.Random) -> str:
    """A sum or a difference as a question."""
    a, b = digit(rng), digit(rng)
    return rng.choice((f"What is {a} plus {b}? {a + b}.", f"What is {a + b} minus {b}? {a}."))


def blanks(rng: random.Random) -> str:
    """A sentence with a blank and its filler, of kinds that Winogrande does not have."""
    schema = rng.choice(world.FURTHER_SCHEMAS)
    begun, first, second = drawn(rng, schema)
    meant, ending = rng.choice(((first, schema.first), (second, schema.second)))
    text = f"{begun} {ending}."
    if rng.random() < AS_INSTRUCTION:
        return instruction(f"What fills the blank (_)?\n{text}", meant)
    return f"{text} The blank is {meant}."


def endings(rng: random.Random) -> str:
    """The next step, in activities that HellaSwag does not ask about."""
    label, context, pronoun, options, right = next_step(rng, activities.FURTHER)
    told = f"{label}: {context} {pronoun}"
    if rng.random() < AS_INSTRUCTION:
        return instruction(f"Continue the text.\n{told}", options[right])
    return f"{told} {options[right]}"


KINDS: tuple[tuple[Callable[[random.Random], str], int], ...] = (
    (of_facts, 14),
    (about_holdings, 12),
    (lambda rng: " ".join(about_sums(rng) for _ in range(4)), 1),
    (blanks, 12),
    (endings, 7),
)
