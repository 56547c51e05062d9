r"""MATH: symbolic problems in LaTeX, solved step by step, the answer in `\boxed{}`."""

import math
import random
from pathlib import Path

from headpatterns.data.embedded import world
from headpatterns.data.embedded.files_of_rows import write_jsonl
from headpatterns.data.embedded.sampling import LARGEST, Row, digit, draw_rows, factor, small_product


def problem_row(level: int, subject: str, problem: str, solution: str) -> tuple[str, Row]:
    """A row in the upstream schema."""
    return problem, {"problem": problem, "level": f"Level {level}", "type": subject, "solution": solution}


def prealgebra(rng: random.Random) -> tuple[str, Row]:
    """Order of operations."""
    a, b, c = digit(rng), factor(rng), factor(rng)
    return problem_row(
        1,
        "Prealgebra",
        rf"What is $ {a} + {b} \cdot {c} $?",
        rf"$ {b} \cdot {c} = {b * c} $ and $ {a} + {b * c} = \boxed{{ {a + b * c} }} $.",
    )


def algebra(rng: random.Random) -> tuple[str, Row]:
    """A linear equation."""
    a, x, b = factor(rng), factor(rng), digit(rng)
    c = a * x + b
    return problem_row(
        2,
        "Algebra",
        f"Solve $ {a}x + {b} = {c} $ for $ x $.",
        rf"$ {a}x = {c} - {b} = {c - b} $, so $ x = {c - b} / {a} = \boxed{{ {x} }} $.",
    )


def number_theory(rng: random.Random) -> tuple[str, Row]:
    """Division with remainder."""
    d, q = factor(rng), factor(rng)
    r = rng.randint(1, d - 1)
    n = d * q + r
    return problem_row(
        2,
        "Number Theory",
        f"What is the remainder when $ {n} $ is divided by $ {d} $?",
        rf"$ {n} = {d} \cdot {q} + {r} $, so the remainder is $ \boxed{{ {r} }} $.",
    )


def geometry(rng: random.Random) -> tuple[str, Row]:
    """Area and perimeter of a rectangle."""
    a, b = factor(rng), factor(rng)
    thing = rng.choice(world.THING_NAMES)
    if rng.random() < 0.5:
        return problem_row(
            1,
            "Geometry",
            f"A rectangle for {world.article(thing)} has sides $ {a} $ and $ {b} $. Find its area.",
            rf"The area is $ {a} \cdot {b} = \boxed{{ {a * b} }} $.",
        )
    return problem_row(
        2,
        "Geometry",
        f"A rectangle for {world.article(thing)} has sides $ {a} $ and $ {b} $. Find its perimeter.",
        rf"$ {a} + {b} = {a + b} $ and $ 2 \cdot {a + b} = \boxed{{ {2 * (a + b)} }} $.",
    )


def counting(rng: random.Random) -> tuple[str, Row]:
    """A probability as a fraction that cannot be reduced."""
    while True:
        red, blue = digit(rng), digit(rng)
        if math.gcd(red, red + blue) == 1:
            break
    first, second = rng.choice((("red", "blue"), ("green", "white"), ("black", "red")))
    thing, things = rng.choice(list(world.THINGS.items()))
    return problem_row(
        3,
        "Counting & Probability",
        f"A bag has $ {red} $ {first} and $ {blue} $ {second} {things}. Find the probability of a {first} {thing}.",
        rf"There are $ {red} + {blue} = {red + blue} $ {things}, so it is"
        rf" $ \boxed{{ \frac{{ {red} }}{{ {red + blue} }} }} $.",
    )


def intermediate_algebra(rng: random.Random) -> tuple[str, Row]:
    """A quadratic equation with two different positive roots."""
    small, large = sorted(rng.sample(range(1, LARGEST), 2))
    which, root = rng.choice((("larger", large), ("smaller", small)))
    quadratic = f"x^2 - {small + large}x + {small * large}"
    return problem_row(
        4,
        "Intermediate Algebra",
        f"Find the {which} root of $ {quadratic} = 0 $.",
        rf"$ {quadratic} = (x - {small})(x - {large}) $, so the {which} root is $ \boxed{{ {root} }} $.",
    )


def precalculus(rng: random.Random) -> tuple[str, Row]:
    """The dot product of two vectors."""
    a, c = factor(rng), factor(rng)
    b, d = small_product(rng)
    return problem_row(
        5,
        "Precalculus",
        f"Find the dot product of $ ({a}, {b}) $ and $ ({c}, {d}) $.",
        rf"$ {a} \cdot {c} + {b} \cdot {d} = {a * c} + {b * d} = \boxed{{ {a * c + b * d} }} $.",
    )


SUBJECTS = (prealgebra, algebra, number_theory, geometry, counting, intermediate_algebra, precalculus)


def write_math(folder: Path, train: int, test: int, seed: int) -> None:
    """`{train,test}.jsonl`: problem, level, type, solution."""
    for split, count in (("train", train), ("test", test)):
        rows = draw_rows(lambda rng: rng.choice(SUBJECTS)(rng), count, seed, "math", split)
        write_jsonl(folder / f"{split}.jsonl", rows)
