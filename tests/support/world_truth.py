"""Works out a second time what is true in the embedded world: from the words of a text, not from its generator."""

import re
from fractions import Fraction
from typing import Any

from headpatterns.data.embedded import activities, facts, further_facts, world

HAN = re.compile(r"[\u4e00-\u9fff]")
DIGITS_ZH = {word: number for number, word in enumerate("零一二三四五六七八九")}

WORKS = ("cook", "guard", "doctor", "farmer", "teacher", "baker", "smith", "judge")

# The verb of a sentence about two parties -> what is said about the first party, and about the second.
SENSE = {
    "does not fit in": ("is too big", "is too small"),
    "broke": ("was hard", "was weak"),
    "ran from": ("was empty", "was full"),
    "gave": ("was full", "was hungry"),
    "sold": ("needed money", "needed it"),
    "asked": ("knew little", "knew a lot"),
    "won the race against": ("was fast", "was slow"),
    "lent": ("was rich", "was poor"),
    "thanked": ("got it", "gave it"),
    "taught": ("was a master", "was a child"),
    "visited": ("was kind", "was ill"),
    "called": ("was alone", "was late"),
    "followed": ("was lost", "was a guide"),
    "paid": ("wanted it", "made it"),
    "does not go into": ("is too wide", "is too narrow"),
    "hurt": ("was sharp", "was soft"),
    "hides": ("stands in front", "stands behind"),
    "costs more than": ("is new", "is old"),
    "fell from": ("had none", "had enough"),
    "carried": ("was tall", "was tired"),
    "waited for": ("came early", "came last"),
}


def value_of(expression: str) -> Fraction:
    """The value of an expression of integers and + - * /, exactly."""
    assert re.fullmatch(r"[\d+\-*/() ]+", expression), expression
    return Fraction(eval(re.sub(r"(\d+)", r"Fraction(\1)", expression), {"Fraction": Fraction}))


def executed(code: str, function: str = "solution") -> Any:
    """Run a program, and return one of its functions."""
    scope: dict[str, Any] = {}
    exec(code, scope)
    return scope[function]


def story_answer(question: str) -> int:
    """The answer of a word problem, worked out from its text alone."""
    numbers = [int(number) for number in re.findall(r"\d+", question)]
    a, b, c, d, *_ = [*numbers, 0, 0]
    if "gives" in question:
        return a + b - c
    if "boxes" in question:
        return a * b - c
    if "times as many" in question:
        return a + a * b
    if "pays" in question and "coins each and" not in question:
        return c - a * b
    if "share" in question:
        assert (a + b) % c == 0
        return (a + b) // c
    if "coins each and" in question:
        return a * b + c * d
    assert "more than" in question
    return a + a + b


def behaves_as_said(purpose: str, function: Any) -> bool:
    """Whether a function does what its purpose says, on a few inputs; the purpose is read from its words."""
    k, j, *_ = [*map(int, re.findall(r"\d+", purpose)), 0]
    lists = ([], [k], [1, k - 1, k, k + 1, 30, 2], list(range(25)))
    above = " above " in purpose

    def chosen(xs: list[int]) -> list[int]:
        return [x for x in xs if (x > k if above else x < k)]

    # Longer purposes first: the first expression that fits counts.
    meanings: tuple[tuple[str, Any, Any], ...] = (
        (r"Add \d+ to the \w+ and take \d+ from the total", lambda x: x + k - j, (0, 5, 20)),
        (r"Multiply the \w+ by \d+ and take \d+ from the total", lambda x: x * k - j, (0, 5, 20)),
        (r"Add \d+ to the \w+ and share the total among \d+ children", lambda x: (x + k) // j, (0, 5, 20)),
        (r"Add \d+ to the \w+ and sum both", lambda x: x + (x + k), (0, 5, 20)),
        (r"Multiply the \w+ by \d+ and sum both", lambda x: x + x * k, (0, 5, 20)),
        (r"Add \d+ to each of the \w+", lambda xs: [x + k for x in xs], lists),
        (r"Add \d+ to the \w+", lambda x: x + k, (0, 5)),
        (r"Take \d+ from the \w+", lambda x: x - k, (0, 25)),
        (r"Multiply the \w+ by \d+", lambda x: x * k, (0, 7)),
        (r"Share the \w+ among \d+ children", lambda x: x // k, (0, 7, 45)),
        (r"Find the rest of the \w+ divided by \d+", lambda x: x % k, (0, 7, 45)),
        (r"Keep the \w+ (above|below) \d+", chosen, lists),
        (r"Sum the \w+ (above|below) \d+", lambda xs: sum(chosen(xs)), lists),
        (r"Count the \w+ (above|below) \d+", lambda xs: len(chosen(xs)), lists),
        (r"Tell whether one of the \w+ is (above|below) \d+", lambda xs: bool(chosen(xs)), lists),
        (r"Take the first \d+ \w+", lambda xs: xs[:k], lists),
        (r"Take the last \d+ \w+", lambda xs: xs[-k:], lists),
    )
    meaning, inputs = next((act, given) for words, act, given in meanings if re.fullmatch(rf"{words}\.", purpose))
    return all(function(given) == meaning(given) for given in inputs)


def told_of(sentence: str) -> str:
    """The key of SENSE that a sentence about two parties contains."""
    told = re.split(r" (?:because|until) ", sentence)[0]
    return next(verb for verb in SENSE if verb in told)


def parties(sentence: str) -> list[str]:
    """The two parties of such a sentence in order: people by name or by work, or else things."""
    told = re.split(r" (?:because|until) ", sentence)[0]
    people = re.findall(rf"\b(?:{'|'.join(world.NAMES)})\b|\b[Tt]he (?:{'|'.join(WORKS)})\b", told)
    found = [one.replace("The", "the") for one in people] or re.findall(r"\b[Tt]he (\w+)", told)
    assert len(found) == 2, sentence
    return found


def referent(sentence: str) -> str:
    """The party that the blank or the pronoun of such a sentence means, according to its last words."""
    ending = re.search(r" (?:because|until) (?:the )?(?:_|it|one) (.+)\.$", sentence)
    assert ending, sentence
    return parties(sentence)[SENSE[told_of(sentence)].index(ending[1])]


def true_options(question: str, options: list[str]) -> list[str]:
    """The options that together with the question make a known statement."""
    true = []
    for relation in (*facts.RELATIONS.values(), *further_facts.RELATIONS.values()):
        for subject, value in relation.pairs.items():
            if relation.forward.format(s=subject) == question and value in options:
                true.append(value)
            if relation.backward.format(v=value) == question and subject in options:
                true.append(subject)
    return true


def special_of(question: str) -> tuple[str, bool, str] | None:
    """The special facts that a question asks about, whether it has the words of the twins, and its subject."""
    for name, (*wordings, _) in facts.SPECIAL.items():
        for place, forms in enumerate(wordings):
            for form in forms:
                before, after = map(re.escape, form.split("{s}"))
                if found := re.fullmatch(f"{before}(.+){after}", question):
                    return name, place == 1, found[1]
    return None


def following(kinds: tuple[activities.Activity, ...], label: str, context: str) -> set[str]:
    """Every step that follows the last one of a context ("Ann fills the sink with water."), with its full stop."""
    activity = next(known for known in kinds if known.label == label)
    last = context.rstrip(".").split(". ")[-1].split(" ", 1)[1]
    versions = [[step.format(x=thing) for step in activity.steps] for thing in activity.objects]
    return {f"{steps[place + 1]}." for steps in versions for place in range(len(steps) - 1) if steps[place] == last}


def number_of(text: str) -> int:
    """A number in digits, or in Chinese characters from 0 to 99."""
    if text.isdecimal():
        return int(text)
    tens, ten, ones = text.rpartition("十")
    return 10 * (DIGITS_ZH[tens] if tens else 1) * bool(ten) + (DIGITS_ZH[ones] if ones else 0)


def numbers_zh(text: str) -> list[str]:
    """The numbers of a Chinese text as written, in digits or in characters; 一共 (in all) is not a number."""
    return re.findall(rf"\d+|[{''.join(DIGITS_ZH)}十]+", text.replace("一共", ""))


def answer_zh(question: str) -> int:
    """The answer of a problem of MathBench, worked out from its text alone."""
    a, b = map(number_of, numbers_zh(question))
    if re.search(r"又买了|加|\+", question):
        return a + b
    if re.search(r"每人|乘|\*", question):
        return a * b
    assert re.search("给了|减|-", question)
    return a - b


def worked_zh(question: str, answer: str) -> int:
    """The value of a worked answer of MathBench; checks its digits, its words and its use of the question's numbers."""
    left, sign, right, digits, words, measure = re.fullmatch(
        rf"(\d+) ([-+*]) (\d+) = (\d+)，([{''.join(DIGITS_ZH)}十]+)(\D?)", answer
    ).groups()
    assert [left, right] == numbers_zh(question)
    assert eval(f"{left} {sign} {right}") == answer_zh(question)
    assert number_of(words) == int(digits)
    assert not measure or f"几{measure}" in question
    return int(digits)
