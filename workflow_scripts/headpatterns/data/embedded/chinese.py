"""MathBench and RefGPT: Chinese mathematics, and Chinese dialogues about a text."""

import random
from collections.abc import Callable
from pathlib import Path

from headpatterns.data.embedded import world
from headpatterns.data.embedded.files_of_rows import write_jsonl
from headpatterns.data.embedded.sampling import Row, draw_rows, near_numbers, shuffled

# topic, question, answer
Problem = tuple[str, str, int]


def buy_and_give_zh(rng: random.Random) -> Problem:
    """Start, gain and loss."""
    (a, b), (thing, measure) = rng.sample(world.NAMES_ZH, 2), rng.choice(list(world.THINGS_ZH.items()))
    start, more = rng.randint(2, 12), rng.randint(2, 12)
    given = rng.randint(1, start + more - 1)
    question = f"{a}有{start}{measure}{thing}，又买了{more}{measure}，给了{b}{given}{measure}。{a}还有几{measure}？"
    return "加减法", question, start + more - given


def boxes_zh(rng: random.Random) -> Problem:
    """Groups of equal size."""
    thing, measure = rng.choice(list(world.THINGS_ZH.items()))
    count, each = rng.randint(2, 9), rng.randint(2, 9)
    return "乘法", f"每人有{each}{measure}{thing}，{count}人一共有几{measure}？", count * each


def share_zh(rng: random.Random) -> Problem:
    """Equal shares."""
    name, (thing, measure) = rng.choice(world.NAMES_ZH), rng.choice(list(world.THINGS_ZH.items()))
    people, each = rng.randint(2, 9), rng.randint(2, 9)
    return "除法", f"{name}把{people * each}{measure}{thing}分给{people}人，每人有几{measure}？", each


def change_zh(rng: random.Random) -> Problem:
    """A price, and what is given back."""
    name, (thing, measure) = rng.choice(world.NAMES_ZH), rng.choice(list(world.THINGS_ZH.items()))
    price, count = rng.randint(2, 6), rng.randint(2, 6)
    paid = rng.randint(price * count + 1, 40)
    question = f"一{measure}{thing}{price}元，{name}买{count}{measure}，给了{paid}元，还有几元？"
    return "应用题", question, paid - price * count


def equation_zh(rng: random.Random) -> Problem:
    """A linear equation."""
    a, x, b = rng.randint(2, 6), rng.randint(1, 9), rng.randint(1, 12)
    return "方程", f"{a}x + {b} = {a * x + b}，x是几？", x


def rectangle_zh(rng: random.Random) -> Problem:
    """Area or perimeter of a rectangle."""
    a, b = rng.randint(2, 12), rng.randint(2, 12)
    if rng.random() < 0.5:
        return "面积", f"长方形长{a}宽{b}，面积是几？", a * b
    return "周长", f"长方形长{a}宽{b}，周长是几？", 2 * (a + b)


def sequence_zh(rng: random.Random) -> Problem:
    """The next number of an arithmetic sequence."""
    start, step = rng.randint(1, 20), rng.randint(2, 9)
    listed = ", ".join(str(start + step * place) for place in range(3))
    return "数列", f"{listed}，下一个数是几？", start + 3 * step


def square_zh(rng: random.Random) -> Problem:
    """A square plus a number."""
    a, b = rng.randint(2, 9), rng.randint(1, 12)
    return "乘方", f"{a}的平方加{b}是几？", a * a + b


PRIMARY: tuple[Callable[[random.Random], Problem], ...] = (buy_and_give_zh, boxes_zh, share_zh, change_zh)
MIDDLE: tuple[Callable[[random.Random], Problem], ...] = (equation_zh, rectangle_zh, sequence_zh, square_zh)


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
    """A text of three facts about an animal and a dialogue of two questions about it."""
    animal, values = rng.choice(list(world.ANIMALS_ZH.items()))
    told = rng.sample(range(len(values)), 3)
    reference = "".join(world.STATEMENTS_ZH[place].format(s=animal, v=values[place]) for place in told)
    asked = rng.sample(told, 2)
    name = rng.choice(world.NAMES_ZH)
    subjects = (animal, "它")
    questions = [world.QUESTIONS_ZH[place].format(s=who) for place, who in zip(asked, subjects, strict=True)]
    answers = [
        world.STATEMENTS_ZH[place].format(s=who, v=values[place]) for place, who in zip(asked, subjects, strict=True)
    ]
    questions[0] = f"{name}在{rng.choice(world.PLACES_ZH)}看见{animal}。{questions[0]}"
    answers[0] = f"{name}看见的是{animal}。{answers[0]}"
    turns = [f"<user> {one}\n<assistant> {other}" for one, other in zip(questions, answers, strict=True)]
    return questions[0], {"title": animal, "reference": reference, "dialogue": "\n".join(turns)}


def write_refgpt(folder: Path, train: int, test: int, seed: int) -> None:
    """`refgpt.jsonl` to train on and `refgpt_test.jsonl`; upstream has the first only."""
    for split, name, count in (("train", "refgpt", train), ("test", "refgpt_test", test)):
        write_jsonl(folder / f"{name}.jsonl", draw_rows(dialogue_row, count, seed, "refgpt", split))
