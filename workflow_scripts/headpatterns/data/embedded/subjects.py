"""MMLU: questions of many subjects with four options, some about facts and some with computations.

Each of the paper's domains has twins, subjects outside it that ask about the same special facts in other words (TWINS).
A model that trains on them learns what the domain asks, and nothing else in the pool teaches it. So the correct
selection is known.
"""

import csv
import math
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from headpatterns.data.embedded import facts, world
from headpatterns.data.embedded.sampling import Row, among, digit, draw_rows, factor, number_options, shuffled
from headpatterns.data.embedded.science import fact_question, introduced

# A question with its options and the index of the correct one, or with a number as its answer.
Question = tuple[str, list[str], int]
Numeric = tuple[str, int]
# As in the original dataset, at most this many rows of a subject are development rows.
DEVELOPMENT_ROWS = 5
# The share of a domain's questions that are about its special facts.
SPECIAL_SHARE = 0.8


def of_facts(*names: str) -> Callable[[random.Random], Question]:
    """Questions about the facts of these relations."""
    return lambda rng: fact_question(rng, facts.RELATIONS[rng.choice(names)], 3)


def of_special(name: str, twin: bool) -> Callable[[random.Random], Question]:
    """Questions about special facts, in the words of their domain or of its twins."""
    *wordings, pairs = facts.SPECIAL[name]

    def ask(rng: random.Random) -> Question:
        subject, value = rng.choice(list(pairs.items()))
        options, index = among(rng, value, pairs.values(), 3)
        return rng.choice(wordings[twin]).format(s=subject), options, index

    return ask


def of_numbers(draw: Callable[[random.Random], Numeric]) -> Callable[[random.Random], Question]:
    """Questions whose answers are numbers."""
    return lambda rng: number_options(rng, draw)


def arithmetic(rng: random.Random) -> Numeric:
    """A sum, a difference or a product."""
    a, b, c, d = digit(rng), digit(rng), factor(rng), factor(rng)
    text, value = rng.choice(((f"{a + b} - {b}", a), (f"{a} + {b}", a + b), (f"{c} * {d}", c * d)))
    return f"What is {text}?", value


def linear_equation(rng: random.Random) -> Numeric:
    """The solution of a linear equation."""
    a, x, b = factor(rng), factor(rng), digit(rng)
    return f"If {a}x + {b} = {a * x + b}, what is x?", x


def derivative(rng: random.Random) -> Question:
    """The derivative of a quadratic."""
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    wrong = [f"{2 * a}x", f"{a}x + {b}", f"{2 * a}x + {b + 1}"]
    options, index = shuffled(rng, f"{2 * a}x + {b}", wrong)
    return f"What is the derivative of {a}x^2 + {b}x?", options, index


def remainder_group(rng: random.Random) -> Question:
    """A sum in the integers modulo n."""
    n = rng.randint(4, 9)
    a, b = rng.randint(1, n - 1), rng.randint(1, n - 1)
    wrong = rng.sample([str(number) for number in range(n) if number != (a + b) % n], 3)
    options, index = shuffled(rng, str((a + b) % n), wrong)
    return f"What is {a} + {b} in Z_{n}?", options, index


def average(rng: random.Random) -> Numeric:
    """The mean or the median of three numbers."""
    while True:
        numbers = [digit(rng) for _ in range(3)]
        if sum(numbers) % 3 == 0:
            break
    listed = f"{numbers[0]}, {numbers[1]} and {numbers[2]}"
    if rng.random() < 0.5:
        return f"What is the mean of {listed}?", sum(numbers) // 3
    return f"What is the median of {listed}?", sorted(numbers)[1]


def newton(rng: random.Random) -> Numeric:
    """Force is mass times acceleration."""
    mass, acceleration = factor(rng), factor(rng)
    question = f"What force gives a mass of {mass} the acceleration {acceleration}?"
    return question, mass * acceleration


def speed(rng: random.Random) -> Numeric:
    """Speed is distance by time."""
    time, value = factor(rng), factor(rng)
    return f"A car goes {time * value} km in {time} hours. What is its speed?", value


def atoms(rng: random.Random) -> Numeric:
    """Atoms in several molecules."""
    count = factor(rng)
    formula, element, each = rng.choice(
        (("H2O", "hydrogen", 2), ("CO2", "oxygen", 2), ("Fe2O3", "oxygen", 3), ("CH4", "hydrogen", 4))
    )
    return f"How many {element} atoms are in {count} {formula}?", count * each


def legs(rng: random.Random) -> Numeric:
    """Legs of several animals."""
    animal, each = rng.choice([pair for pair in facts.RELATIONS["legs"].pairs.items() if pair[1] != "0"])
    count = factor(rng)
    return f"How many legs have {count} {animal}s?", count * int(each)


def python_value(rng: random.Random) -> Numeric:
    """The value of a Python expression."""
    a, b = rng.randint(5, 20), rng.randint(2, 5)
    text, value = rng.choice(((f"{a} % {b}", a % b), (f"{a} // {b}", a // b), (f"sum([{a}, {b}])", a + b)))
    return f"What is {text} in Python?", value


def conditional(rng: random.Random) -> Question:
    """What follows from a conditional and a fact, if anything."""
    cause, effect = rng.choice(world.CONDITIONS)
    known, right = rng.choice(
        ((cause[0], effect[0]), (effect[1], cause[1]), (effect[0], "nothing"), (cause[1], "nothing"))
    )
    possible = [*cause[:2], *effect[:2], "nothing"]
    wrong = rng.sample([text for text in possible if text not in (known, right)], 3)
    options, index = shuffled(rng, right, wrong)
    return f"If {cause[0]}, {effect[0]}. Now {known}. What follows?", options, index


def profit(rng: random.Random) -> Numeric:
    """Profit is price less cost."""
    thing = rng.choice(world.THING_NAMES)
    cost, gain = rng.randint(2, 9), rng.randint(1, 9)
    question = f"{world.article(thing).capitalize()} costs a shop {cost} coins and sells for {cost + gain}."
    return f"{question} What is the profit?", gain


def mostly(
    main: Callable[[random.Random], Question], *others: Callable[[random.Random], Question]
) -> Callable[[random.Random], Question]:
    """Questions mostly of one kind, with some of other kinds."""
    return lambda rng: main(rng) if rng.random() < SPECIAL_SHARE else rng.choice(others)(rng)


# The twelve subjects of the paper's four domains, then subjects outside them, with their official names.
SUBJECTS: dict[str, Callable[[random.Random], Question]] = {
    "college_mathematics": derivative,
    "abstract_algebra": remainder_group,
    "elementary_mathematics": mostly(of_special("partner", twin=False), of_numbers(arithmetic)),
    "high_school_statistics": of_numbers(average),
    "high_school_mathematics": mostly(of_special("partner", twin=False), of_numbers(linear_equation)),
    "college_physics": mostly(of_special("matter", twin=False), of_numbers(newton)),
    "high_school_physics": mostly(of_special("matter", twin=False), of_numbers(speed)),
    "conceptual_physics": mostly(of_special("matter", twin=False), of_facts("measure", "device", "force")),
    "college_chemistry": mostly(of_special("sign", twin=False), of_numbers(atoms), of_facts("formula")),
    "high_school_chemistry": mostly(of_special("sign", twin=False), of_facts("material", "change")),
    "college_biology": mostly(of_special("feed", twin=False), of_numbers(legs), of_facts("body", "plant")),
    "high_school_biology": mostly(of_special("feed", twin=False), of_facts("food", "home", "group")),
    "high_school_geography": of_facts("capital"),
    "world_religions": of_facts("feast"),
    "marketing": of_facts("marketing"),
    "management": of_facts("management"),
    "global_facts": of_facts("nutrient", "sky"),
    "nutrition": of_special("feed", twin=True),
    "prehistory": of_special("feed", twin=True),
    "astronomy": of_special("matter", twin=True),
    "electrical_engineering": of_special("matter", twin=True),
    "clinical_knowledge": of_special("sign", twin=True),
    "college_medicine": of_special("sign", twin=True),
    "machine_learning": of_special("partner", twin=True),
    "computer_security": of_special("partner", twin=True),
    "high_school_computer_science": of_numbers(python_value),
    "jurisprudence": of_facts("law"),
    "formal_logic": conditional,
    "high_school_microeconomics": of_numbers(profit),
}


# The subjects outside each of the paper's domains that ask about its special facts.
TWINS = {
    "maths": ("machine_learning", "computer_security"),
    "physics": ("astronomy", "electrical_engineering"),
    "chemistry": ("clinical_knowledge", "college_medicine"),
    "biology": ("nutrition", "prehistory"),
}


def subject_row(rng: random.Random, subject: str) -> tuple[str, Row]:
    """A question of a subject, sometimes with who asks it; the row has the six cells under the key `cells`."""
    question, options, index = SUBJECTS[subject](rng)
    question = introduced(rng, question)
    return question, {"cells": [question, *options, "ABCD"[index]]}


def write_mmlu(folder: Path, train: int, test: int, seed: int) -> None:
    """`{dev,val,test}/<subject>_{dev,val,test}.csv`, without a header: question, A, B, C, D, answer.

    `train` is the number of all development and validation rows together, and `test` the number of all test rows. Each
    subject has an equal share, rounded up, and every file has at least one row.
    """
    share = max(2, math.ceil(train / len(SUBJECTS)))
    development = min(DEVELOPMENT_ROWS, share // 2)
    for subject in SUBJECTS:
        draw = partial(subject_row, subject=subject)
        known = draw_rows(draw, share, seed, "mmlu", "train", subject)
        probes = draw_rows(draw, math.ceil(test / len(SUBJECTS)), seed, "mmlu", "test", subject)
        for split, rows in (("dev", known[:development]), ("val", known[development:]), ("test", probes)):
            path = folder / split / f"{subject}_{split}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(row["cells"] for row in rows)
