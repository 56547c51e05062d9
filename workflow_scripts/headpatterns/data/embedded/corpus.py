"""The pretraining corpus: the knowledge that the datasets ask for, as plain text.

Documents state the facts of the tasks, but do not ask about them. They ask about other facts (`questions`), so that a
base model knows what a question is. Fewer than half of the documents that ask have the form of an instruction. Other
documents repeat earlier text (`copying`), which is needed to answer from a text. No document has a mark of a task's
form (`####`, `<<...>>`, a box). So the knowledge is learnt in pretraining, and the form of each task in fine-tuning.
The first words of responses also follow a blank in documents. Otherwise a base model would not know them in this place.
"""

import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from headpatterns.data.embedded import activities, assistance, chinese, copying, facts, questions, world
from headpatterns.data.embedded.functions import draw_function
from headpatterns.data.embedded.references import drawn, sentence
from headpatterns.data.embedded.sampling import FACTORS, LARGEST, PATIENCE, digit, factor, small_product
from headpatterns.data.embedded.science import SCIENCE
from headpatterns.data.embedded.stories import draw_story, program_solution, prose_solution
from headpatterns.errors import InputError
from headpatterns.io import atomic_path

# Sentences of an exchange that belong to its form, rather than to its knowledge.
REQUESTS = ("Write ", "Give ")
VERDICTS = ("Yes. ", "No. ")
LARGER = range(LARGEST + 1, 2 * LARGEST + 1)


def several(
    tell: Callable[[random.Random], str], least: int, most: int, joint: str = " "
) -> Callable[[random.Random], str]:
    """A document of `least` to `most` pieces of one kind."""
    return lambda rng: joint.join(tell(rng) for _ in range(rng.randint(least, most)))


def headed(heading: str, tell: Callable[[random.Random], str]) -> Callable[[random.Random], str]:
    """A document that follows a heading, a colon and a blank half of the time.

    Otherwise programs and Chinese text would never follow a blank, as they do in responses to prompts.
    """
    return lambda rng: f"{heading}: {tell(rng)}" if rng.random() < 0.5 else tell(rng)


def arithmetic(rng: random.Random) -> str:
    """One fact of arithmetic, in words or in signs."""
    a, b, c, d = rng.randint(1, max(FACTORS) ** 2), digit(rng), factor(rng), factor(rng)
    if rng.random() < 0.3:
        a = digit(rng)
    signs = (
        f"{a} + {b} = {a + b}.",
        f"{b} + {a} = {a + b}.",
        f"{a + b} - {b} = {a}.",
        f"{a + b} - {a} = {b}.",
        f"{c} * {d} = {c * d}.",
        f"{c * d} / {c} = {d}.",
    )
    words = (
        f"{a} plus {b} is {a + b}.",
        f"{a + b} minus {b} is {a}.",
        f"{c} times {d} is {c * d}.",
        f"{c * d} divided by {c} is {d}.",
        f"Double {c} is {2 * c}.",
    )
    return rng.choice(signs if rng.random() < 0.75 else words)


def worked(rng: random.Random) -> str:
    """A worked computation in LaTeX."""
    a, b, x, d, c = factor(rng), digit(rng), factor(rng), factor(rng), digit(rng)
    rest = rng.randrange(1, d)
    small, large = sorted(rng.sample(range(1, LARGEST), 2))
    third, fourth = small_product(rng)
    part = b // math.gcd(b, b + c)
    whole = (b + c) // math.gcd(b, b + c)
    probability = (
        rf"{b} of {b + c} balls are red, so the probability of a red ball is $ \frac{{ {part} }}{{ {whole} }} $."
    )
    texts = (
        f"If $ {a}x + {b} = {a * x + b} $, then $ {a}x = {a * x + b} - {b} = {a * x} $"
        f" and $ x = {a * x} / {a} = {x} $.",
        rf"$ {b} + {x} \cdot {d} $ is $ {b} + {x * d} = {b + x * d} $, since $ {x} \cdot {d} = {x * d} $.",
        rf"$ {d * x + rest} = {d} \cdot {x} + {rest} $,"
        f" so $ {d * x + rest} $ divided by $ {d} $ has the remainder $ {rest} $.",
        rf"The area of a rectangle with the sides $ {a} $ and $ {x} $ is $ {a} \cdot {x} = {a * x} $.",
        rf"The perimeter of a rectangle with the sides $ {a} $ and $ {x} $ is $ 2 \cdot {a + x} = {2 * (a + x)} $.",
        f"The roots of $ x^2 - {small + large}x + {small * large} = (x - {small})(x - {large}) $"
        f" are $ {small} $ and $ {large} $, and $ {large} $ is the larger root.",
        rf"The dot product of $ ({a}, {third}) $ with $ ({d}, {fourth}) $ is $ {a} \cdot {d} + {third} \cdot {fourth}"
        rf" = {a * d} + {third * fourth} = {a * d + third * fourth} $.",
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
    """A Python function with a docstring, or after its name and a sentence that says what it does."""
    # This is not a function of a dataset: functions about things have larger numbers here.
    drawn = draw_function(rng, world.THINGS, LARGER) if rng.random() < 0.6 else draw_function(rng, world.QUANTITIES)
    if rng.random() < 0.5:
        return drawn.code(with_docstring=True)
    return f"{drawn.name}: {drawn.purpose}\n{drawn.code(with_docstring=False)}"


def program(rng: random.Random) -> str:
    """The facts of a story, and a function that computes the result."""
    told = draw_story(rng)
    return f"{told.facts}\n{program_solution(told, 'answer')}"


def activity(rng: random.Random) -> str:
    """An activity from its first step to its last."""
    kind = rng.choice((*activities.ACTIVITIES, *activities.FURTHER))
    thing = rng.choice(kind.objects)
    person, pronoun = rng.choice(list(world.PEOPLE.items()))
    first, *rest = (step.format(x=thing) for step in kind.steps)
    return " ".join([f"{kind.label}: {person} {first}.", *(f"Then {pronoun} {step}." for step in rest)])


def reference(rng: random.Random) -> str:
    """A sentence of the kind that Winogrande asks about, and who or what is meant.

    Half of them have a pronoun instead of the blank; the others say what is true of each party.
    """
    schema = rng.choice(rng.choice((world.SCHEMAS, world.FURTHER_SCHEMAS)))
    text, first, second = drawn(rng, schema)
    pairs = [(first, schema.first), (second, schema.second)]
    rng.shuffle(pairs)
    things = "the _" in text
    the = "the " if things else ""
    if rng.random() < 0.5:
        (meant, ending), _ = pairs
        told = text.replace("the _", "it") if things else text.replace("_", "one")
        return f"{told} {ending}. {sentence(the + meant)} {ending}."
    told, _, _ = text.partition(" because" if " because" in text else " until")
    one = "The thing that" if things else "The one who"
    return " ".join([f"{told}.", *(f"{one} {ending} is {the}{meant}." for meant, ending in pairs)])


def fact(relations: Sequence[facts.Relation]) -> Callable[[random.Random], str]:
    """Facts of some relations, from subject to value or the other way."""

    def tell(rng: random.Random) -> str:
        relation = rng.choice(relations)
        return facts.statement(relation, rng.choice(list(relation.pairs)), reverse=rng.random() < 0.5)

    return tell


science = fact([facts.RELATIONS[name] for name in SCIENCE])
knowledge = fact([relation for name, relation in facts.RELATIONS.items() if name not in SCIENCE])
further = fact(questions.RELATIONS)


def told_exchange(draw: assistance.Draw) -> Callable[[random.Random], str]:
    """The knowledge of an exchange: the facts of its question, without the question or request, and its answer."""

    def tell(rng: random.Random) -> str:
        question, answer = draw(rng)
        sentences = question.replace("? ", "?|").replace(". ", ".|").split("|")
        known = [text for text in sentences if not text.endswith("?") and not text.startswith(REQUESTS)]
        for verdict in VERDICTS:
            answer = answer.removeprefix(verdict)
        return " ".join([*known, answer])

    return tell


# Sentences about tasks and texts. They have the words of later instructions, but are not instructions themselves.
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
    """A fact of arithmetic, as a statement or question, in digits: no document states the words of numbers."""
    a, b, c, d = digit(rng), digit(rng), factor(rng), factor(rng)
    left, word, sign, right, value = rng.choice(
        ((a, "加", "+", b, a + b), (a + b, "减", "-", b, a), (c, "乘", "*", d, c * d))
    )
    told = f"{left} {word} {right}"
    return rng.choice(
        (f"{told} 是 {value}。", f"{told} 等于几？ {value}。", f"{told} 是 {left} {sign} {right} = {value}。")
    )


def story_zh(rng: random.Random) -> str:
    """A story with quantities, and the computation that MathBench asks for in such stories."""
    _, draw = rng.choice(chinese.PRIMARY)
    problem = draw(rng)
    return f"{problem.told} {problem.computation} = {problem.answer}。"


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
    (several(arithmetic, 6, 10), 20),
    (several(worked, 1, 2), 10),
    (story, 11),
    (headed("Python", several(function, 1, 2, "\n\n")), 12),
    (headed("Python", program), 8),
    (activity, 10),
    (several(reference, 2, 4), 10),
    (several(science, 4, 8), 12),
    (several(knowledge, 3, 5), 2),
    (several(further, 4, 8), 8),
    (several(schooling, 2, 4), 1),
    (several(told_exchange(assistance.logic), 1, 2), 1),
    (several(told_exchange(assistance.logic_and_programming), 1, 1), 1),
    (several(told_exchange(assistance.education), 1, 2), 1),
    (several(told_exchange(assistance.finance), 1, 2), 1),
    (several(told_exchange(assistance.law), 1, 2), 1),
    (headed("动物", several(fact_zh, 3, 6, "")), 2),
    (headed("数学", several(arithmetic_zh, 3, 5)), 4),
    (headed("数学", several(story_zh, 1, 2)), 4),
    (headed("对话", talk_zh), 1),
    *copying.KINDS,
    *questions.KINDS,
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
            raise InputError(
                f"documents is {documents} but the embedded world has only about {len(told)} different ones; lower it"
            )
    return list(told)


def write_corpus(path: Path, documents: int, seed: int) -> None:
    """Write `{"text": ...}` lines."""
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in draw_documents(documents, seed)]
    with atomic_path(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
