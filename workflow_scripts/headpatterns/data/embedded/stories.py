"""Word problems: short stories with quantities. Their answers are marked steps, a program or prose."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from headpatterns.data.embedded import world
from headpatterns.data.embedded.sampling import FACTORS, LARGEST, digit, factor, small_product

OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b,
}


@dataclass(frozen=True)
class Step:
    """One computation, `name` = `left` `operator` `right`, all three names; `{}` in `told` stands for its result."""

    name: str
    left: str
    operator: str
    right: str
    told: str


@dataclass(frozen=True)
class Story:
    """The facts, the question, the quantities by name and the steps that lead to the last step's value."""

    facts: str
    ask: str
    given: dict[str, int]
    steps: tuple[Step, ...]

    @property
    def question(self) -> str:
        """The text of the problem: facts and question."""
        return f"{self.facts} {self.ask}"

    def computed(self) -> list[tuple[Step, int, int, int]]:
        """Every step with its two operands and its value."""
        values = dict(self.given)
        done = []
        for step in self.steps:
            left, right = values[step.left], values[step.right]
            values[step.name] = OPERATIONS[step.operator](left, right)
            done.append((step, left, right, values[step.name]))
        return done

    @property
    def answer(self) -> int:
        """The value of the last step."""
        return self.computed()[-1][3]


def marked_solution(story: Story) -> str:
    """GSM8K's form: one sentence per step with its calculator mark, then `#### answer`."""
    lines = [
        step.told.format(f"{left} {step.operator} {right} = <<{left}{step.operator}{right}={value}>>{value}")
        for step, left, right, value in story.computed()
    ]
    return "\n".join([*lines, f"#### {story.answer}"])


def prose_solution(story: Story) -> str:
    """The steps as plain sentences."""
    return " ".join(
        step.told.format(f"{left} {step.operator} {right} = {value}") for step, left, right, value in story.computed()
    )


def program_solution(story: Story, name: str = "solution") -> str:
    """SGSM's form: a function without arguments that returns the answer."""
    lines = [f"def {name}():", *(f"    {name} = {value}" for name, value in story.given.items())]
    for step in story.steps:
        operator = "//" if step.operator == "/" else step.operator
        lines.append(f"    {step.name} = {step.left} {operator} {step.right}")
    return "\n".join([*lines, f"    return {story.steps[-1].name}"])


def buy_and_give(rng: random.Random) -> Story:
    """Start, gain and loss."""
    a, b = rng.sample(world.NAMES, 2)
    things = rng.choice(list(world.THINGS.values()))
    start, more = digit(rng), digit(rng)
    given = digit(rng, start + more - 1)
    return Story(
        f"{a} has {start} {things}. {a} buys {more} more and gives {given} to {b}.",
        f"How many {things} does {a} have now?",
        {"start": start, "more": more, "given": given},
        (
            Step("total", "start", "+", "more", f"{a} has {{}} {things}."),
            Step("left", "total", "-", "given", f"Then {{}} {things} are left."),
        ),
    )


def boxes(rng: random.Random) -> Story:
    """Groups of equal size, and a loss."""
    a = rng.choice(world.NAMES)
    things = rng.choice(list(world.THINGS.values()))
    count, each = factor(rng), factor(rng)
    lost = digit(rng, count * each - 1)
    return Story(
        f"{a} has {count} boxes with {each} {things} each. {a} loses {lost} {things}.",
        f"How many {things} are left?",
        {"count": count, "each": each, "lost": lost},
        (
            Step("total", "count", "*", "each", f"The boxes hold {{}} {things}."),
            Step("left", "total", "-", "lost", f"Then {{}} {things} are left."),
        ),
    )


def times_as_many(rng: random.Random) -> Story:
    """A multiple, and the sum of both."""
    a, b = rng.sample(world.NAMES, 2)
    things = rng.choice(list(world.THINGS.values()))
    start, times = factor(rng), factor(rng)
    return Story(
        f"{a} has {start} {things}. {b} has {times} times as many.",
        f"How many {things} do they have in all?",
        {"start": start, "times": times},
        (
            Step("other", "start", "*", "times", f"{b} has {{}} {things}."),
            Step("total", "start", "+", "other", f"They have {{}} {things} in all."),
        ),
    )


def change(rng: random.Random) -> Story:
    """A price, and the change."""
    a = rng.choice(world.NAMES)
    thing, things = rng.choice(list(world.THINGS.items()))
    price, count = factor(rng), factor(rng)
    paid = price * count + digit(rng)
    return Story(
        f"{world.article(thing).capitalize()} costs {price} coins. {a} buys {count} {things} and pays {paid} coins.",
        f"How many coins does {a} get back?",
        {"price": price, "count": count, "paid": paid},
        (
            Step("cost", "price", "*", "count", f"The {things} cost {{}} coins."),
            Step("back", "paid", "-", "cost", f"{a} gets back {{}} coins."),
        ),
    )


def share(rng: random.Random) -> Story:
    """A sum, divided among children."""
    a, b = rng.sample(world.NAMES, 2)
    things = rng.choice(list(world.THINGS.values()))
    children, each = rng.choice([(a, b) for a in FACTORS for b in FACTORS if a * b <= 2 * LARGEST])
    start = rng.randint(max(1, children * each - LARGEST), min(LARGEST, children * each - 1))
    return Story(
        f"{a} has {start} {things} and {b} has {children * each - start}. They share them among {children} children.",
        f"How many {things} does each child get?",
        {"start": start, "other": children * each - start, "children": children},
        (
            Step("total", "start", "+", "other", f"They have {{}} {things}."),
            Step("each", "total", "/", "children", f"Each child gets {{}} {things}."),
        ),
    )


def two_prices(rng: random.Random) -> Story:
    """Two costs of several things each, and their sum."""
    a = rng.choice(world.NAMES)
    (_, ones), (_, others) = rng.sample(list(world.THINGS.items()), 2)
    count, price = factor(rng), factor(rng)
    number, each = small_product(rng)
    return Story(
        f"{a} buys {count} {ones} for {price} coins each and {number} {others} for {each} coins each.",
        f"How many coins does {a} pay?",
        {"count": count, "price": price, "number": number, "each": each},
        (
            Step("cost", "count", "*", "price", f"The {ones} cost {{}} coins."),
            Step("other", "number", "*", "each", f"The {others} cost {{}} coins."),
            Step("total", "cost", "+", "other", f"{a} pays {{}} coins."),
        ),
    )


def more_and_sum(rng: random.Random) -> Story:
    """A difference, and the sum of both."""
    a, b = rng.sample(world.NAMES, 2)
    things = rng.choice(list(world.THINGS.values()))
    start, more = digit(rng), digit(rng)
    return Story(
        f"{a} has {start} {things}. {b} has {more} more than {a}.",
        f"How many {things} do they have in all?",
        {"start": start, "more": more},
        (
            Step("other", "start", "+", "more", f"{b} has {{}} {things}."),
            Step("total", "start", "+", "other", f"They have {{}} {things} in all."),
        ),
    )


STORIES = (buy_and_give, boxes, times_as_many, change, share, two_prices, more_and_sum)


def draw_story(rng: random.Random) -> Story:
    """One of the kinds of story, with people, things and numbers drawn."""
    return rng.choice(STORIES)(rng)
