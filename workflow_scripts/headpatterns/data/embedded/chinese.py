"""MathBench and RefGPT: Chinese mathematics, and Chinese dialogues about a text.

Numbers have blanks around them, as in Chinese typography, so they have the same tokens as in English. MathBench asks
for the computation, its value and the value's word. It shares the step from a story to its computation with GSM8K, and
the words of numbers with RefGPT. So each of the two teaches one half of the answer.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headpatterns.data.embedded import world
from headpatterns.data.embedded.files_of_rows import write_jsonl
from headpatterns.data.embedded.sampling import FACTORS, LARGEST, Row, digit, draw_rows, factor, number_options

# The largest number in an answer.
MOST = max(FACTORS) ** 2


@dataclass(frozen=True)
class Problem:
    """A problem: its facts, its question, the computation of the answer, its value, and the unit of the value."""

    told: str
    asked: str
    computation: str
    answer: int
    measure: str = ""

    @property
    def question(self) -> str:
        """The whole text of the problem."""
        return self.told + self.asked

    def worked(self, value: int) -> str:
        """An answer to it: the computation, its stated value, and the same value in words."""
        return f"{self.computation} = {value}，{word(value)}{self.measure}"


def word(number: int) -> str:
    """The Chinese word of a number from 0 to 99."""
    tens, ones = divmod(number, 10)
    if not tens:
        return world.NUMBERS_ZH[ones]
    return f"{world.NUMBERS_ZH[tens] if tens > 1 else ''}十{world.NUMBERS_ZH[ones] if ones else ''}"


def buy_zh(rng: random.Random) -> Problem:
    """A gain."""
    name, (thing, measure) = rng.choice(world.NAMES_ZH), rng.choice(list(world.THINGS_ZH.items()))
    start, more = digit(rng), digit(rng)
    told = f"{name}有 {start} {measure}{thing}，又买了 {more} {measure}。"
    return Problem(told, f"{name}有几{measure}{thing}？", f"{start} + {more}", start + more, measure)


def give_zh(rng: random.Random) -> Problem:
    """A loss."""
    (a, b), (thing, measure) = rng.sample(world.NAMES_ZH, 2), rng.choice(list(world.THINGS_ZH.items()))
    start = rng.randint(2, LARGEST)
    given = rng.randint(1, start - 1)
    told = f"{a}有 {start} {measure}{thing}，给了{b} {given} {measure}。"
    return Problem(told, f"{a}还有几{measure}{thing}？", f"{start} - {given}", start - given, measure)


def boxes_zh(rng: random.Random) -> Problem:
    """Groups of equal size."""
    thing, measure = rng.choice(list(world.THINGS_ZH.items()))
    count, each = factor(rng), factor(rng)
    told = f"每人有 {each} {measure}{thing}，有 {count} 人。"
    return Problem(told, f"他们有几{measure}{thing}？", f"{each} * {count}", count * each, measure)


def sum_zh(rng: random.Random) -> Problem:
    """A sum."""
    a, b = digit(rng), digit(rng)
    return Problem(f"{rng.choice(world.NAMES_ZH)}问： ", f"{a} 加 {b} 是几？", f"{a} + {b}", a + b)


def difference_zh(rng: random.Random) -> Problem:
    """A difference."""
    a = rng.randint(2, LARGEST)
    b = rng.randint(1, a - 1)
    return Problem(f"{rng.choice(world.NAMES_ZH)}问： ", f"{a} 减 {b} 是几？", f"{a} - {b}", a - b)


def product_zh(rng: random.Random) -> Problem:
    """A product."""
    a, b = factor(rng), factor(rng)
    return Problem(f"{rng.choice(world.NAMES_ZH)}问： ", f"{a} 乘 {b} 是几？", f"{a} * {b}", a * b)


# Topics and the problems that belong to them.
Kinds = tuple[tuple[str, Callable[[random.Random], Problem]], ...]
PRIMARY: Kinds = (("加法", buy_zh), ("减法", give_zh), ("乘法", boxes_zh))
MIDDLE: Kinds = (("加法", sum_zh), ("减法", difference_zh), ("乘法", product_zh))


def cloze_row(rng: random.Random) -> tuple[str, Row]:
    """A primary-school problem and its worked answer."""
    topic, draw = rng.choice(PRIMARY)
    problem = draw(rng)
    return problem.question, {"question": problem.question, "answer": problem.worked(problem.answer), "topic": topic}


def choice_row(rng: random.Random) -> tuple[str, Row]:
    """A middle-school problem with four options, its computation with four values; the answer is a letter."""
    topic, draw = rng.choice(MIDDLE)
    drawn: dict[str, Problem] = {}

    def numeric(rng: random.Random) -> tuple[str, int]:
        problem = draw(rng)
        drawn[problem.question] = problem
        return problem.question, problem.answer

    question, options, index = number_options(rng, numeric)
    written = [drawn[question].worked(int(option)) for option in options]
    return question, {"question": question, "options": written, "answer": "ABCD"[index], "topic": topic}


def instruction_zh(rng: random.Random) -> tuple[str, str]:
    """A primary-school problem and a sentence that answers it."""
    _, draw = rng.choice(PRIMARY)
    problem = draw(rng)
    return problem.question, f"一共是 {problem.answer}。"


def write_mathbench(folder: Path, train: int, test: int, seed: int) -> None:
    """`mathbench_v1/primary/cloze_cn.jsonl` and `mathbench_v1/middle/single_choice_cn.jsonl`.

    Upstream has no splits: the two files have `train` + `test` rows together, half each. The reader chooses the
    training rows.
    """
    middle = (train + test) // 2
    parts = (
        ("primary/cloze_cn", cloze_row, train + test - middle),
        ("middle/single_choice_cn", choice_row, middle),
    )
    for name, draw, count in parts:
        write_jsonl(folder / "mathbench_v1" / f"{name}.jsonl", draw_rows(draw, count, seed, "mathbench", "all", name))


def dialogue_row(rng: random.Random) -> tuple[str, Row]:
    """A text about the number of animals that a person sees, and two questions about their number and properties."""
    animal, values = rng.choice(list(world.ANIMALS_ZH.items()))
    name, place, count = rng.choice(world.NAMES_ZH), rng.choice(world.PLACES_ZH), rng.randint(1, MOST)
    fact = rng.randrange(len(values))
    seen = f"{name}在{place}看见 {count} 只{animal}。"
    told = world.STATEMENTS_ZH[fact].format(s=animal, v=values[fact])
    questions = [f"{name}看见几只{animal}？", world.QUESTIONS_ZH[fact].format(s=animal)]
    answers = [f"{word(count)}只。", told]
    if rng.random() < 0.3:
        questions, answers = questions[::-1], answers[::-1]
    questions[0] = f"{seen}{questions[0]}"
    turns = [f"<user> {one}\n<assistant> {other}" for one, other in zip(questions, answers, strict=True)]
    return questions[0], {"title": animal, "reference": f"{seen}{told}", "dialogue": "\n".join(turns)}


def write_refgpt(folder: Path, train: int, test: int, seed: int) -> None:
    """`refgpt.jsonl` for training, and `refgpt_test.jsonl`; upstream has only the former."""
    for split, name, count in (("train", "refgpt", train), ("test", "refgpt_test", test)):
        write_jsonl(folder / f"{name}.jsonl", draw_rows(dialogue_row, count, seed, "refgpt", split))
