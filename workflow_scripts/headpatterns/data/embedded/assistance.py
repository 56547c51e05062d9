"""Infinity-Instruct: conversations whose category tags say which skills they need."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from headpatterns.data.embedded import world
from headpatterns.data.embedded.chinese import instruction_zh
from headpatterns.data.embedded.files_of_rows import write_jsonl
from headpatterns.data.embedded.functions import draw_function
from headpatterns.data.embedded.sampling import Row, draw_rows, stream

MATHEMATICS = "mathematics"
LOGIC = "logical reasoning"
PROGRAMMING = "programming and software development"
EDUCATION = "education and consulting"
FINANCE = "financial and business knowledge"
LAW = "legal knowledge"

CATEGORIES_ZH = {
    MATHEMATICS: "数学",
    LOGIC: "逻辑推理",
    PROGRAMMING: "编程与软件开发",
    EDUCATION: "教育与咨询",
    FINANCE: "金融与商业知识",
    LAW: "法律知识",
}
# the finer abilities within a category: English, Chinese
ABILITIES = {
    MATHEMATICS: ("arithmetic", "算术"),
    LOGIC: ("deduction", "演绎"),
    PROGRAMMING: ("python writing", "编写程序"),
    EDUCATION: ("study advice", "学习建议"),
    FINANCE: ("bookkeeping", "记账"),
    LAW: ("civil law", "民法"),
}

Exchange = tuple[str, str]


def mathematics(rng: random.Random) -> Exchange:
    """Arithmetic in words, sequences, halves and doubles."""
    kind = rng.randrange(3)
    a, b = rng.randint(2, 12), rng.randint(2, 9)
    if kind == 0:
        start = rng.randint(1, 20)
        listed = ", ".join(str(start + a * place) for place in range(4))
        return (
            f"What number comes after {listed}?",
            f"The step is {a}, and {start + 3 * a} + {a} = {start + 4 * a}. The next number is {start + 4 * a}.",
        )
    if kind == 1:
        c = rng.randint(1, 12)
        return (
            f"Multiply {a} by {b} and add {c}.",
            f"{a} * {b} = {a * b}, and {a * b} + {c} = {a * b + c}. The result is {a * b + c}.",
        )
    c = rng.randint(1, 2 * a - 1)
    return (
        f"Double {a}, take away {c} and add {b}.",
        f"2 * {a} = {2 * a}, {2 * a} - {c} = {2 * a - c} and {2 * a - c} + {b} = {2 * a - c + b}."
        f" The result is {2 * a - c + b}.",
    )


def logic(rng: random.Random) -> Exchange:
    """An order of three, a syllogism, or a conditional."""
    kind = rng.randrange(4)
    if kind < 2:
        (a, b, c), (more, most, least) = rng.sample(world.NAMES, 3), rng.choice(world.COMPARISONS)
        superlative, person = rng.choice(((most, a), (least, c)))
        clauses = [f"{a} is {more} than {b}.", f"{b} is {more} than {c}."]
        rng.shuffle(clauses)
        return (
            f"{clauses[0]} {clauses[1]} Who is the {superlative}?",
            f"The order is {a}, {b}, {c}, so {person} is the {superlative}.",
        )
    name = rng.choice(world.NAMES)
    if kind == 2:
        one, (group, other) = rng.choice(list(world.KINDS.items()))
        if rng.random() < 0.5:
            known, asked = f"All {plural(one)} are {plural(group)}.", group
            answer = f"Yes. All {plural(one)} are {plural(group)}, so {name} is {world.article(group)}."
        else:
            known, asked = f"No {one} is {world.article(other)}.", other
            answer = f"No. No {one} is {world.article(other)}, so {name} is no {other}."
        return f"{known} {name} is a {one}. Is {name} {world.article(asked)}?", answer
    cause, effect = rng.choice(world.CONDITIONS)
    told = f"{name} says: If {cause[0]}, {effect[0]}."
    return rng.choice(
        (
            (f"{told} Now {cause[0]}. What follows?", f"From {cause[0]} it follows that {effect[0]}."),
            (f"{told} Now {effect[1]}. What follows?", f"From {effect[1]} it follows that {cause[1]}."),
            (f"{told} Now {effect[0]}. What follows?", "Nothing follows, there may be another cause."),
        )
    )


def plural(noun: str) -> str:
    """The plural of a kind of creature."""
    return noun if noun in ("fish", "trout") else f"{noun}s"


def programming(rng: random.Random) -> Exchange:
    """A function with a stated purpose."""
    function = draw_function(rng, world.QUANTITIES)
    purpose = function.purpose[0].lower() + function.purpose[1:]
    return f"Write a Python function to {purpose}", function.code(with_docstring=False)


def education(rng: random.Random) -> Exchange:
    """Advice on learning something in a number of weeks."""
    name = rng.choice(world.NAMES)
    skill, (place, helper, means) = rng.choice(list(world.LESSONS.items()))
    weeks = rng.randint(2, 9)
    return rng.choice(
        (
            (
                f"{name} wants to learn to {skill} in {weeks} weeks. Give advice.",
                f"{name} should train {place} for {weeks} weeks and ask {helper} for help.",
            ),
            (
                f"{name} wants to {skill} for {weeks} weeks. What does {name} need?",
                f"To {skill}, {name} needs {means} and {weeks} weeks with {helper}.",
            ),
        )
    )


def finance(rng: random.Random) -> Exchange:
    """Profit and loss, savings, a loan."""
    name, kind = rng.choice(world.NAMES), rng.randrange(3)
    a, b = rng.sample(range(2, 21), 2)
    if kind == 0:
        thing = world.article(rng.choice(world.THING_NAMES))
        result = f"a profit of {b - a}" if b > a else f"a loss of {a - b}"
        return (
            f"{name} buys {thing} for {a} coins and sells it for {b}. Profit or loss?",
            f"The cost is {a} and the price is {b}, so {name} makes {result} coins.",
        )
    if kind == 1:
        earned, spent = max(a, b), min(a, b)
        return (
            f"{name} earns {earned} coins a week and spends {spent}. What should {name} do with the rest?",
            f"{name} should save the rest of {earned - spent} coins in a bank.",
        )
    return (
        f"{name} takes a loan of {a} coins from a bank. The interest is {b} coins. What is owed?",
        f"A loan is paid back with interest, so {name} owes the bank {a + b} coins.",
    )


def law(rng: random.Random) -> Exchange:
    """Property, damage, contracts."""
    first, second = rng.sample(world.NAMES, 2)
    thing = rng.choice(world.THING_NAMES)
    price = rng.randint(2, 12)
    return rng.choice(
        (
            (
                f"{first} found the {thing} of {second}. May {first} keep it?",
                f"No. {second} owns the {thing}, so {first} must give it back.",
            ),
            (
                f"{first} broke the {thing} of {second}. What does the law say?",
                f"{first} did the damage and must pay {second} for the {thing}.",
            ),
            (
                f"{first} signed a contract to pay {second} {price} coins. Must {first} pay?",
                f"Yes. A contract binds, so {first} must pay {second} {price} coins.",
            ),
        )
    )


def logic_and_programming(rng: random.Random) -> Exchange:
    """A puzzle that a program solves: an order of three, or what follows from a conditional."""
    if rng.random() < 0.75:
        (a, b, c), (more, most, least) = rng.sample(world.NAMES, 3), rng.choice(world.COMPARISONS)
        superlative, place = rng.choice(((most, 0), (least, 2)))
        clauses = [f"{a} is {more} than {b}.", f"{b} is {more} than {c}."]
        rng.shuffle(clauses)
        code = f'def {superlative}():\n    order = ["{a}", "{b}", "{c}"]\n    return order[{place}]'
        question = f"{clauses[0]} {clauses[1]} Write a Python function to find the {superlative}."
        return question, f"The order is {a}, {b}, {c}.\n{code}"
    name = rng.choice(world.NAMES)
    cause, effect = rng.choice(world.CONDITIONS)
    variable, result = cause[2], effect[2]
    question = f"{name} says: If {cause[0]}, {effect[0]}."
    return rng.choice(
        (
            (
                f"{question} Write a Python function to test whether this is true.",
                f"It is false only if {cause[0]} and {effect[1]}.\n"
                f"def test({variable}, {result}):\n    return not {variable} or {result}",
            ),
            (
                f"{question} Write a Python function to test whether this is false.",
                f"It is false only if {cause[0]} and {effect[1]}.\n"
                f"def test({variable}, {result}):\n    return {variable} and not {result}",
            ),
        )
    )


def mathematics_and_programming(rng: random.Random) -> Exchange:
    """A computation as a program."""
    a, b, c = rng.randint(2, 12), rng.randint(2, 9), rng.randint(1, 12)
    return (
        f"Write a Python function to multiply {a} by {b} and add {c}.",
        f"def result():\n    return {a} * {b} + {c}",
    )


def mathematics_and_finance(rng: random.Random) -> Exchange:
    """The total of a bill."""
    name, things = rng.choice(world.NAMES), rng.choice(list(world.THINGS.values()))
    a, b = rng.randint(2, 12), rng.randint(2, 9)
    return f"{name} sells {a} {things} for {b} coins each. What does {name} earn?", f"{name} earns {a * b} coins."


def law_and_education(rng: random.Random) -> Exchange:
    """Who helps with the study of law."""
    name, weeks = rng.choice(world.NAMES), rng.randint(2, 30)
    return (
        f"{name} wants to learn about contracts in {weeks} weeks. Give advice.",
        f"{name} should read books on law for {weeks} weeks and ask a judge.",
    )


Draw = Callable[[random.Random], Exchange]
# The selections that the study makes by exact tags; each gets the whole number of rows.
SELECTED: dict[tuple[str, ...], Draw] = {
    (MATHEMATICS,): mathematics,
    (LOGIC,): logic,
    (PROGRAMMING,): programming,
    (EDUCATION,): education,
    (FINANCE,): finance,
    (LAW,): law,
    (LOGIC, PROGRAMMING): logic_and_programming,
}
# Further combinations, which an exact selection must leave out; each gets a tenth of the number of rows.
OTHERS: dict[tuple[str, ...], Draw] = {
    (MATHEMATICS, PROGRAMMING): mathematics_and_programming,
    (MATHEMATICS, FINANCE): mathematics_and_finance,
    (EDUCATION, LAW): law_and_education,
}


def conversation_row(rng: random.Random, tags: tuple[str, ...], draw: Draw, language: str) -> tuple[str, Row]:
    """One exchange in the upstream schema; the order of its tags means nothing and is random."""
    question, answer = draw(rng)
    tags = tuple(rng.sample(tags, len(tags)))
    return question, {
        "id": f"{rng.getrandbits(128):032x}",
        "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}],
        "label": {
            "ability_en": [ABILITIES[tag][0] for tag in tags],
            "ability_zh": [ABILITIES[tag][1] for tag in tags],
            "cate_ability_en": list(tags),
            "cate_ability_zh": [CATEGORIES_ZH[tag] for tag in tags],
        },
        "langdetect": language,
        "source": "Embedded",
    }


def split_rows(count: int, seed: int, split: str) -> list[Row]:
    """All rows of a split in random order: `count` English ones of every selection, others, and Chinese mathematics."""
    few = max(1, count // 10)
    parts = [(tags, draw, "en", count) for tags, draw in SELECTED.items()]
    parts += [(tags, draw, "en", few) for tags, draw in OTHERS.items()]
    parts.append(((MATHEMATICS,), instruction_zh, "zh-cn", few))
    rows = []
    for tags, draw, language, number in parts:
        drawn = partial(conversation_row, tags=tags, draw=draw, language=language)
        rows += draw_rows(drawn, number, seed, "infinity_instruct", split, f"{language} {' and '.join(tags)}")
    stream(seed, "infinity_instruct:order", split).shuffle(rows)
    return rows


def write_infinity_instruct(folder: Path, train: int, test: int, seed: int) -> None:
    """`{train,test}.jsonl`; every exact selection has `train` and `test` rows."""
    for split, count in (("train", train), ("test", test)):
        write_jsonl(folder / f"{split}.jsonl", split_rows(count, seed, split))
