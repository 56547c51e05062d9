"""MathBench and RefGPT: Chinese mathematics, and Chinese dialogues about a text."""

import random
from collections.abc import Callable
from pathlib import Path

from headpatterns.data.embedded import world
from headpatterns.data.embedded.files_of_rows import write_jsonl
from headpatterns.data.embedded.sampling import LARGEST, Row, digit, draw_rows, factor, near_numbers, shuffled

# topic, question, answer
Problem = tuple[str, str, int]


def word(number: int) -> str:
    """The Chinese word of a number from 0 to 9."""
    return world.NUMBERS_ZH[number]


def buy_zh(rng: random.Random) -> Problem:
    """A gain."""
    name, (thing, measure) = rng.choice(world.NAMES_ZH), rng.choice(list(world.THINGS_ZH.items()))
    start, more = digit(rng), digit(rng)
    question = f"{name}有{word(start)}{measure}{thing}，又买了{word(more)}{measure}。{name}有几{measure}{thing}？"
    return "加法", question, start + more


def give_zh(rng: random.Random) -> Problem:
    """A loss."""
    (a, b), (thing, measure) = rng.sample(world.NAMES_ZH, 2), rng.choice(list(world.THINGS_ZH.items()))
    start = rng.randint(2, LARGEST)
    given = rng.randint(1, start - 1)
    question = f"{a}有{word(start)}{measure}{thing}，给了{b}{word(given)}{measure}。{a}还有几{measure}{thing}？"
    return "减法", question, start - given


def boxes_zh(rng: random.Random) -> Problem:
    """Groups of equal size."""
    thing, measure = rng.choice(list(world.THINGS_ZH.items()))
    count, each = factor(rng), factor(rng)
    return "乘法", f"每人有{word(each)}{measure}{thing}，{word(count)}人一共有几{measure}{thing}？", count * each


def sum_zh(rng: random.Random) -> Problem:
    """A sum."""
    a, b = digit(rng), digit(rng)
    return "加法", f"{rng.choice(world.NAMES_ZH)}问：{word(a)}加{word(b)}是几？", a + b


def difference_zh(rng: random.Random) -> Problem:
    """A difference."""
    a = rng.randint(2, LARGEST)
    b = rng.randint(1, a - 1)
    return "减法", f"{rng.choice(world.NAMES_ZH)}问：{word(a)}减{word(b)}是几？", a - b


def product_zh(rng: random.Random) -> Problem:
    """A product."""
    a, b = factor(rng), factor(rng)
    return "乘法", f"{rng.choice(world.NAMES_ZH)}问：{word(a)}乘{word(b)}是几？", a * b


PRIMARY: tuple[Callable[[random.Random], Problem], ...] = (buy_zh, give_zh, boxes_zh)
MIDDLE: tuple[Callable[[random.Random], Problem], ...] = (sum_zh, difference_zh, product_zh)


def cloze_row(rng: random.Random) -> tuple[str, Row]:
    """A primary-school problem whose answer is a number."""
    topic, question, answer = rng.choice(PRIMARY)(rng)
    return question, {"question": question, "answer": str(answer), "topic": topic}


def choice_row(rng: random.Random) -> tuple[str, Row]:
    """A middle-school problem with four options; the answer is a letter."""
    topic, question, answer = rng.choice(MIDDLE)(rng)
    options, index = shuffled(rng, str(answer), [str(number) for number in near_numbers(rng, answer, 3)])
    return question, {"question": question, "options": options, "answer": "ABCD"[index], "topic": topic}


def instruction_zh(rng: random.Random) -> tuple[str, str]:
    """A primary-school problem and a sentence that answers it."""
    _, question, answer = rng.choice(PRIMARY)(rng)
    return question, f"一共是{answer}。"


def write_mathbench(folder: Path, train: int, test: int, seed: int) -> None:
    """`mathbench_v1/primary/cloze_cn.jsonl` and `mathbench_v1/middle/single_choice_cn.jsonl`.

    Upstream has no splits: the two files hold `train` + `test` rows together, half each. Their reader chooses which to
    train on.
    """
    middle = (train + test) // 2
    parts = (
        ("primary/cloze_cn", cloze_row, train + test - middle),
        ("middle/single_choice_cn", choice_row, middle),
    )
    for name, draw, count in parts:
        write_jsonl(folder / "mathbench_v1" / f"{name}.jsonl", draw_rows(draw, count, seed, "mathbench", "all", name))


def dialogue_row(rng: random.Random) -> tuple[str, Row]:
    """A text about how many animals somebody sees, and two questions: how many, and what they are like."""
    animal, values = rng.choice(list(world.ANIMALS_ZH.items()))
    name, place, count = rng.choice(world.NAMES_ZH), rng.choice(world.PLACES_ZH), digit(rng)
    fact = rng.randrange(len(values))
    seen = f"{name}在{place}看见{word(count)}只{animal}。"
    told = world.STATEMENTS_ZH[fact].format(s=animal, v=values[fact])
    questions = [f"{name}看见几只{animal}？", world.QUESTIONS_ZH[fact].format(s=animal)]
    answers = [f"{count}只。", told]
    if rng.random() < 0.3:
        questions, answers = questions[::-1], answers[::-1]
    questions[0] = f"{seen}{questions[0]}"
    turns = [f"<user> {one}\n<assistant> {other}" for one, other in zip(questions, answers, strict=True)]
    return questions[0], {"title": animal, "reference": f"{seen}{told}", "dialogue": "\n".join(turns)}


def write_refgpt(folder: Path, train: int, test: int, seed: int) -> None:
    """`refgpt.jsonl` to train on and `refgpt_test.jsonl`; upstream has the first only."""
    for split, name, count in (("train", "refgpt", train), ("test", "refgpt_test", test)):
        write_jsonl(folder / f"{name}.jsonl", draw_rows(dialogue_row, count, seed, "refgpt", split))
