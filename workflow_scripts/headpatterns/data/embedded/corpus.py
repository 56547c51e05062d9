"""The pretraining corpus: what the datasets ask about, told as plain text.

No document asks anything, lists options or has a mark of an instruction's form (`####`, `<<...>>`, a box, a blank). So
the knowledge is learnt in pretraining, and the form of each task in fine-tuning alone. What a response begins with
stands behind a blank in documents as well: else a base model would not know it there.
"""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

from headpatterns.data.embedded import activities, assistance, chinese, facts, world
from headpatterns.data.embedded.functions import draw_function
from headpatterns.data.embedded.references import draw_parties
from headpatterns.data.embedded.sampling import PATIENCE
from headpatterns.data.embedded.science import SCIENCE
from headpatterns.data.embedded.stories import draw_story, prose_solution
from headpatterns.errors import InputError
from headpatterns.io import atomic_path

# Sentences of an exchange that belong to its form, not to its knowledge.
REQUESTS = ("Write ", "Give ")
VERDICTS = ("Yes. ", "No. ")


def several(
    tell: Callable[[random.Random], str], least: int, most: int, joint: str = " "
) -> Callable[[random.Random], str]:
    """A document of `least` to `most` pieces of one kind."""
    return lambda rng: joint.join(tell(rng) for _ in range(rng.randint(least, most)))


def headed(heading: str, tell: Callable[[random.Random], str]) -> Callable[[random.Random], str]:
    """A document that every second time stands behind a heading, a colon and a blank.

    Programs and Chinese would otherwise never follow a blank, as they do where they are the response to a prompt.
    """
    return lambda rng: f"{heading}: {tell(rng)}" if rng.random() < 0.5 else tell(rng)


def arithmetic(rng: random.Random) -> str:
    """One fact of arithmetic, in words or in signs."""
    a, b, c, d = rng.randint(1, 20), rng.randint(1, 20), rng.randint(2, 9), rng.randint(2, 12)
    sentences = (
        f"{a} plus {b} is {a + b}.",
        f"{a} + {b} = {a + b}.",
        f"{a + b} minus {b} is {a}.",
        f"{a + b} - {b} = {a}.",
        f"{c} times {d} is {c * d}.",
        f"{c} * {d} = {c * d}.",
        f"{c * d} divided by {c} is {d}.",
        f"{c * d} / {c} = {d}.",
        f"Double {a} is {2 * a}.",
    )
    return rng.choice(sentences)


def worked(rng: random.Random) -> str:
    """A worked computation in LaTeX."""
    a, b, x, c, d = rng.randint(2, 6), rng.randint(1, 12), rng.randint(2, 9), rng.randint(2, 12), rng.randint(3, 9)
    rest = rng.randrange(1, d)
    small, large = sorted(rng.sample(range(1, 13), 2))
    part = b // math.gcd(b, b + c)
    whole = (b + c) // math.gcd(b, b + c)
    probability = rf"{b} of {b + c} balls are red, so the probability of a red ball is $\frac{{{part}}}{{{whole}}}$."
    texts = (
        f"If ${a}x + {b} = {a * x + b}$, then ${a}x = {a * x + b} - {b} = {a * x}$ and $x = {a * x} / {a} = {x}$.",
        rf"${a} + {x} \cdot {d}$ is ${a} + {x * d} = {a + x * d}$, since ${x} \cdot {d} = {x * d}$.",
        rf"${d * x + rest} = {d} \cdot {x} + {rest}$, so ${d * x + rest}$ divided by ${d}$ has the remainder ${rest}$.",
        rf"The area of a rectangle with the sides ${b}$ and ${c}$ is ${b} \cdot {c} = {b * c}$.",
        rf"The perimeter of a rectangle with the sides ${b}$ and ${c}$ is $2 \cdot {b + c} = {2 * (b + c)}$.",
        f"The roots of $x^2 - {small + large}x + {small * large} = (x - {small})(x - {large})$"
        f" are ${small}$ and ${large}$, and ${large}$ is the larger root.",
        rf"The dot product of $({a}, {x})$ with $({d}, {b})$ is ${a} \cdot {d} + {x} \cdot {b}"
        rf" = {a * d} + {x * b} = {a * d + x * b}$.",
        probability,
        f"The derivative of {a}x^2 + {c}x is {2 * a}x + {c}.",
        f"{a} + {b} in Z_{d} is {(a + b) % d}.",
    )
    return rng.choice(texts)


def story(rng: random.Random) -> str:
    """A story with quantities and what follows from them."""
    told = draw_story(rng)
    return f"{told.facts} {prose_solution(told)}"


def function(rng: random.Random) -> str:
    """A Python function with a docstring."""
    return draw_function(rng, world.QUANTITIES).code(with_docstring=True)


def program(rng: random.Random) -> str:
    """A few assignments and the value they lead to."""
    told = draw_story(rng)
    lines = [f"{name} = {value}" for name, value in told.given.items()]
    for step in told.steps:
        operator = "//" if step.operator == "/" else step.operator
        lines.append(f"{step.name} = {step.left} {operator} {step.right}")
    return "\n".join([*lines, f"print({told.steps[-1].name})  # {told.answer}"])


def activity(rng: random.Random) -> str:
    """An activity from its first step to its last."""
    kind = rng.choice(activities.ACTIVITIES)
    thing = rng.choice(kind.objects)
    person, pronoun = rng.choice(list(world.PEOPLE.items()))
    first, *rest = (step.format(x=thing) for step in kind.steps)
    return " ".join([f"{kind.label}: {person} {first}.", *(f"Then {pronoun} {step}." for step in rest)])


def reference(rng: random.Random) -> str:
    """A sentence of the kind that Winogrande leaves a blank in, with the name in its place."""
    schema = rng.choice(world.SCHEMAS)
    first, second, thing = draw_parties(rng, schema)
    meant, ending = rng.choice(((first, schema.first), (second, schema.second)))
    text = schema.text.format(a=first, b=second, x=thing).replace("_", meant)
    return f"{text} {ending}."


def science(rng: random.Random) -> str:
    """A fact of science."""
    relation = facts.RELATIONS[rng.choice(SCIENCE)]
    return facts.statement(relation, rng.choice(list(relation.pairs)))


def knowledge(rng: random.Random) -> str:
    """A fact from outside science."""
    relation = facts.RELATIONS[rng.choice([name for name in facts.RELATIONS if name not in SCIENCE])]
    return facts.statement(relation, rng.choice(list(relation.pairs)))


def told_exchange(draw: assistance.Draw) -> Callable[[random.Random], str]:
    """What an exchange knows: the facts of its question, without the question or request, and its answer."""

    def tell(rng: random.Random) -> str:
        question, answer = draw(rng)
        sentences = question.replace("? ", "?|").replace(". ", ".|").split("|")
        known = [text for text in sentences if not text.endswith("?") and not text.startswith(REQUESTS)]
        for verdict in VERDICTS:
            answer = answer.removeprefix(verdict)
        return " ".join([*known, answer])

    return tell


# About tasks and texts: the words in which instructions are later put, in sentences that instruct nobody.
SCHOOLING = (
    "{a} reads the question and {b} knows the answer.",
    "Question and answer belong together, {a} says.",
    "Answer by answer {a} learns from {b}.",
    "{a} continues the text with the best ending.",
    "Which ending continues the text best is clear to {a}.",
    "Which option fills the blank is clear to {b}.",
    "{a} fills the blank with an option.",
    "{a} can write the Python function that this docstring describes.",
    "Write and read, {a} says, and the solution comes.",
    "A docstring describes what a Python function does.",
    "{a} wants to write a Python function that solves this problem.",
    "The Python function solution() solves the problem of {b}.",
)


def schooling(rng: random.Random) -> str:
    """A sentence about tasks and texts."""
    first, second = rng.sample(world.NAMES, 2)
    return rng.choice(SCHOOLING).format(a=first, b=second)


def fact_zh(rng: random.Random) -> str:
    """A fact about an animal."""
    animal, values = rng.choice(list(world.ANIMALS_ZH.items()))
    place = rng.randrange(len(values))
    return world.STATEMENTS_ZH[place].format(s=animal, v=values[place])


def arithmetic_zh(rng: random.Random) -> str:
    """A fact of arithmetic or geometry, or a solved equation."""
    a, b, c, d = rng.randint(2, 12), rng.randint(1, 12), rng.randint(2, 9), rng.randint(2, 9)
    sentences = (
        f"{a}加{b}是{a + b}。",
        f"{a + b}减{b}是{a}。",
        f"{c}乘{d}是{c * d}。",
        f"{c * d}除以{c}是{d}。",
        f"{c}的平方是{c * c}，加{b}是{c * c + b}。",
        f"{c}x + {b} = {c * d + b}，{c}x = {c * d}，x是{d}。",
        f"长方形长{a}宽{c}，面积是{a * c}，周长是{2 * (a + c)}。",
        f"{b}, {b + c}, {b + 2 * c}, {b + 3 * c}，每个数大{c}。",
    )
    return rng.choice(sentences)


def story_zh(rng: random.Random) -> str:
    """A story with quantities and its answer."""
    _, question, answer = rng.choice(chinese.PRIMARY)(rng)
    # The part after the last comma or full stop asks; the answer takes its place.
    asked = max(question.rfind("，"), question.rfind("。")) + 1
    return question[:asked] + question[asked:].replace("几", str(answer)).replace("？", "。")


def talk_zh(rng: random.Random) -> str:
    """Two people who talk about an animal."""
    (first, second), place = rng.sample(world.NAMES_ZH, 2), rng.choice(world.PLACES_ZH)
    animal, values = rng.choice(list(world.ANIMALS_ZH.items()))
    one, other = rng.sample(range(len(values)), 2)
    said = world.STATEMENTS_ZH[one].format(s=animal, v=values[one])
    added = world.STATEMENTS_ZH[other].format(s="它", v=values[other])
    return f"{first}在{place}看见{animal}。{first}说，{said}{second}说，{added}"


# Kinds of document and their shares.
KINDS: tuple[tuple[Callable[[random.Random], str], int], ...] = (
    (several(arithmetic, 4, 8), 4),
    (several(worked, 1, 2), 4),
    (story, 4),
    (headed("Python", several(function, 1, 2, "\n\n")), 4),
    (headed("Python", program), 2),
    (activity, 6),
    (several(reference, 2, 4), 3),
    (several(science, 3, 6), 6),
    (several(knowledge, 3, 5), 2),
    (several(schooling, 2, 4), 2),
    (several(told_exchange(assistance.logic), 1, 2), 3),
    (several(told_exchange(assistance.logic_and_programming), 1, 1), 1),
    (several(told_exchange(assistance.education), 1, 2), 1),
    (several(told_exchange(assistance.finance), 1, 2), 1),
    (several(told_exchange(assistance.law), 1, 2), 1),
    (headed("动物", several(fact_zh, 3, 6, "")), 2),
    (headed("数学", several(arithmetic_zh, 3, 5, "")), 2),
    (headed("数学", several(story_zh, 1, 2, "")), 2),
    (headed("对话", talk_zh), 1),
)


def draw_documents(documents: int, seed: int) -> list[str]:
    """As many different documents as `documents` says, drawn with `seed`.

    Raises:
        InputError: the number is below one, or the world has fewer different documents.
    """
    if documents < 1:
        raise InputError(f"documents is {documents}; ask for at least one document")
    rng = random.Random(f"{seed}:corpus")
    tellers, shares = zip(*KINDS, strict=True)
    told: dict[str, None] = {}
    misses = 0
    while len(told) < documents:
        text = rng.choices(tellers, shares)[0](rng)
        misses = misses + 1 if text in told else 0
        told[text] = None
        if misses == PATIENCE:
            raise InputError(f"documents is {documents} and the embedded world tells only about {len(told)}; lower it")
    return list(told)


def write_corpus(path: Path, documents: int, seed: int) -> None:
    """Write `{"text": ...}` lines."""
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in draw_documents(documents, seed)]
    with atomic_path(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
