r"""Read the answer from a model's text, by the same rules for every model.

This module works only on text. Reading returns a canonical answer (a letter; a number in its shortest form; normalised
text). A prediction is correct exactly if the answer that is read from it equals the canonical gold answer.

Text of the answer
    Full-width characters are read as their ASCII equivalents. Text between `<think>` and `</think>`, or before a single
    `</think>`, is reasoning and is ignored; reasoning without an end leaves nothing to read. The answer ends where the
    model starts a new task (`Question:`, `问题：`, or a line that starts with `Q:`, `Problem:` and similar). Paragraphs
    end at blank lines. The *marked* answer is the text after the first `####` of a line or, without one, in the last
    `\boxed{…}`. The *announced* answers are the texts, up to the end of the line, after `answer is`, `Answer:`,
    `答案是`, `答案为`, `答案：` or `选` (`option` and `choice` announce like `answer`); the last one is tried first.

Multiple choice: a letter of an existing option, from the first of these places that has one
    1. the marked answer, read by rules 3 and 5;
    2. the first paragraph, if its first line is an option as it is listed: `C` alone, or `C.` and the option's text;
    3. the last announced answer that starts with a capital letter, in brackets or not, without a letter or digit after
       it;
    4. the start of the first paragraph: `(C)`, `C)`, `C.`, `C:` or `C、`, in upper or lower case;
    5. the last announced answer or, if none is announced, the first paragraph or its first line, if it is the text of
       exactly one option;
    6. the last paragraph, if it is one line that rule 4 or 5 can read.

Open, with a number as the gold answer: if the text has a function solution(), the value that it returns
(see headpatterns.data.programs), or nothing. Otherwise from the first of these that exists
    1. the marked answer: the last number in it, or its text if it has none (it is then wrong, but read);
    2. the first paragraph, if it is only a number with its unit;
    3. the last announced answer with a number: the last number in its first sentence;
    4. the last number of the text, which is usually the conclusion after paragraphs of computation.

Open, with a gold answer of several lines (a program): the whole text, line by line, without empty lines and blanks at
the end of a line. It ends at a line that starts with `Question:`.

Open, with another gold answer: the normalised text of
    1. the marked answer; 2. the last announced answer; 3. the first line.

Numbers may have a sign, thousands separators (`1,234`, `1{,}234`) and decimals, and may be fractions (`3/4`,
`\frac{3}{4}`) or mixed numbers (`2 1/2`). They are compared exactly: 0.5 equals 1/2, 0.33 does not equal 1/3. A minus
directly after a digit, letter or bracket is a subtraction. A digit directly after a letter, or an exponent (`x^2`), is
not a number, nor is anything of more than 100 characters. Currency, per cent and degree signs, and a unit in Chinese or
in `\text{…}`, are not compared.

Normalised text is lower case, with single blanks and none next to a symbol, and without LaTeX spacing, dollar signs,
and quotes or punctuation around it; `\dfrac` and `\tfrac` are `\frac`, and `\text{x}` is `x`.
"""

import re
from collections.abc import Sequence
from fractions import Fraction

from headpatterns.data import programs
from headpatterns.data.adapters.choices import LETTERS

LONGEST_NUMBER = 100

FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " ", 0x2212: "-"}
NEW_TASK = re.compile(
    r"\b[Qq]uestion\s*\d*\s*:|(?:问题|题目)\s*\d*\s*:"
    r"|^\W*(?:Q|Problem|Exercise|Example|Instruction|例题?)\s*\d*\s*:",
    re.MULTILINE,
)
# A program may have comments like the starts of tasks, and continues after them.
NEXT_PROGRAM = re.compile(r"^Question\s*\d*\s*:", re.MULTILINE)
BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
HASHES = re.compile(r"^.*?####[^\S\n]*(.*)$", re.MULTILINE)
BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
ANNOUNCEMENT = re.compile(
    r"(?:\b(?:answer|option|choice)\s*(?:is|:)|答案\s*(?:是|应?为|:)|选(?!项|择题)择?)\s*:?\s*", re.IGNORECASE
)
THOUGHT = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
OPEN_THOUGHT = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
SENTENCE_END = re.compile(r"[.!?;](?=\s|$)|。")
EMPHASIS = re.compile(r"\*\*|__")

DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<!\d)\.\d+"
NUMBER = re.compile(
    r"(?<![A-Za-z0-9_^])(?<!\^\{)"
    r"(?P<sign>(?<![A-Za-z0-9)\]}])[-+])?"
    rf"(?:(?P<whole>\d+)\s+(?P<part>\d+/0*[1-9]\d*)|(?P<over>{DIGITS})(?:\s*/\s*(?P<under>{DIGITS}))?)"
)
BEFORE_NUMBER = re.compile(r"^[$€£¥\s]+")
AFTER_NUMBER = re.compile(r"(?:\s|%|°|\^\\circ|\^\{\\circ\}|\\(?:text|mbox|mathrm)\s*\{[^{}]*\}|[一-鿿]|[.。])+$")
NUMERALS = re.compile("[百千万亿]")

LATEX = (
    (re.compile(r"\\[!,;: ]|\\left(?![A-Za-z])|\\right(?![A-Za-z])"), ""),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\([$%])"), r"\1"),
    (re.compile(r"\\[dt]frac"), r"\\frac"),
    (re.compile(r"\\frac\s*(\d)\s*(\d)"), r"\\frac{\1}{\2}"),
)
FRACTION = re.compile(r"(?P<before>\d)?\\frac\s*\{\s*(?P<over>\d+)\s*\}\s*\{\s*(?P<under>\d+)\s*\}")
WRAPPED = re.compile(r"\\(?:text|mbox|mathrm)\s*\{([^{}]*)\}")
BESIDE_SYMBOL = re.compile(r"\s*([^\w\s])\s*")
AROUND = " \t\n.,;:!?。，；：！？、'\"“”‘’`"


def canonical(gold: str, choices: Sequence[str] = ()) -> str | None:
    """The gold answer in the form that `read` returns, None if it is empty or names no option."""
    if not choices:
        return (_lines(gold) if _is_program(gold) else _canonical_text(gold)) or None
    letter = gold.strip().upper()
    return letter if len(letter) == 1 and letter in LETTERS[: len(choices)] else None


def read(prediction: str, gold: str, choices: Sequence[str] = ()) -> str | None:
    """The answer in a prediction, None if none can be read from it.

    `gold` decides only whether a number or text is read; `choices` are the options' texts, () for an open task.
    """
    prediction = THOUGHT.sub("", prediction, count=1)
    if OPEN_THOUGHT.search(prediction):
        return None
    if not choices and _is_program(gold):
        return _lines(prediction) or None
    own = NEW_TASK.split(prediction, maxsplit=1)[0]
    if not choices and programs.HEAD in own and number(gold) is not None:
        returned = programs.value(own)
        return None if returned is None else _shortest(returned)
    text = _own_answer(prediction)
    marked = _marked(text)
    if choices:
        return _read_choice(text, marked, choices)
    if number(gold) is not None:
        return _read_number(text, marked)
    return _read_text(text, marked)


def number(text: str) -> str | None:
    """The shortest form of a text that is only a number with its unit; None for any other text."""
    simple = BEFORE_NUMBER.sub("", _plain(text))
    end = AFTER_NUMBER.search(simple)
    if end and not NUMERALS.search(end[0]):
        simple = simple[: end.start()]
    found = NUMBER.fullmatch(_sign_first(simple))
    return _value(found) if found else None


def normalised(text: str) -> str:
    """Text without differences between writers of the same answer (see above)."""
    simple = BESIDE_SYMBOL.sub(r"\1", _unwrapped(_simple(text)).casefold())
    return " ".join(simple.split()).strip(AROUND)


def _is_program(gold: str) -> bool:
    return "\n" in gold.strip()


def _lines(text: str) -> str:
    own = NEXT_PROGRAM.split(text, maxsplit=1)[0]
    return "\n".join(line.rstrip() for line in own.strip().splitlines() if line.strip())


def _own_answer(prediction: str) -> str:
    text = EMPHASIS.sub("", prediction.translate(FULL_WIDTH)).strip()
    return NEW_TASK.split(text, maxsplit=1)[0].strip()


def _marked(text: str) -> str | None:
    """The marked answer: after the first `####`, or in the last box that closes."""
    hashes = HASHES.search(text)
    if hashes and hashes[1].strip():
        return hashes[1].strip()
    boxed = [content for box in BOX.finditer(text) if (content := _braced(text[box.end() :]))]
    return boxed[-1] if boxed else None


def _braced(rest: str) -> str | None:
    """The text before the brace that closes one opened just before `rest`; None if none does."""
    depth = 1
    for position, character in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return rest[:position].strip()
    return None


def _announced(text: str) -> list[str]:
    """The rests of the lines after every announcement of an answer, the last one first."""
    rests = [_first_line(text[found.end() :]).strip() for found in ANNOUNCEMENT.finditer(text)]
    return [rest for rest in reversed(rests) if rest]


def _read_choice(text: str, marked: str | None, choices: Sequence[str]) -> str | None:
    letters = LETTERS[: len(choices)]
    if marked and (letter := _leading_letter(_unwrapped(marked), letters) or _option(marked, choices)):
        return letter
    text = _unwrapped(text)
    first, last = BLANK_LINE.split(text)[0], BLANK_LINE.split(text)[-1]
    announced = _announced(text)
    listed = _listed_option(_first_line(first), choices)
    named = (re.match(rf"(?:option\s+)?\(?([{letters}])(?![A-Za-z0-9])", rest) for rest in announced)
    if letter := listed or next((found[1] for found in named if found), None) or _leading_letter(first, letters):
        return letter
    candidates = announced[:1] or [first, _first_line(first)]
    said = next(filter(None, (_option(candidate, choices) for candidate in candidates)), None)
    if said or "\n" in last:
        return said
    return _leading_letter(last, letters) or _option(last, choices)


def _listed_option(line: str, choices: Sequence[str]) -> str | None:
    """The letter of a line that is an option as a prompt lists it, or the letter alone."""
    letter = _leading_letter(line, LETTERS[: len(choices)])
    if letter is None:
        return None
    rest = re.sub(r"^\W*\w\W*", "", line)
    return letter if not rest or _canonical_text(rest) == _canonical_text(choices[LETTERS.index(letter)]) else None


def _leading_letter(text: str, letters: str) -> str | None:
    found = re.match(
        rf"\(([{letters}])\)|([{letters}])(?:[).:、]|[^\S\n]*(?:。|$))", text, re.IGNORECASE | re.MULTILINE
    )
    return (found[1] or found[2]).upper() if found else None


def _option(text: str, choices: Sequence[str]) -> str | None:
    """The letter of the only option whose text this is."""
    wanted = _canonical_text(text)
    alike = [letter for letter, choice in zip(LETTERS, choices, strict=False) if _canonical_text(choice) == wanted]
    return alike[0] if wanted and len(alike) == 1 else None


def _read_number(text: str, marked: str | None) -> str | None:
    if marked is not None:
        return _last_number(marked) or normalised(marked) or None
    if alone := number(BLANK_LINE.split(text)[0]):
        return alone
    sentences = (SENTENCE_END.split(rest, maxsplit=1)[0] for rest in _announced(text))
    return next(filter(None, map(_last_number, sentences)), None) or _last_number(text)


def _read_text(text: str, marked: str | None) -> str | None:
    candidates = (marked, *_announced(text)[:1], _first_line(text))
    return next((found for candidate in candidates if candidate and (found := _canonical_text(candidate))), None)


def _first_line(paragraph: str) -> str:
    return paragraph.splitlines()[0] if paragraph else ""


def _canonical_text(text: str) -> str:
    return number(text) or normalised(text)


def _last_number(text: str) -> str | None:
    values = [value for found in NUMBER.finditer(_plain(text)) if (value := _value(found))]
    return values[-1] if values else None


def _value(found: re.Match[str]) -> str | None:
    """The number of a match in its shortest form: a whole number or decimal if possible, otherwise a fraction."""
    if len(found[0]) > LONGEST_NUMBER:
        return None
    if found["whole"]:
        value = int(found["whole"]) + Fraction(found["part"])
    else:
        value = _decimal(found["over"])
        under = _decimal(found["under"] or "1")
        if under == 0:
            return None
        value /= under
    return _shortest(-value if found["sign"] == "-" else value)


def _decimal(digits: str) -> Fraction:
    return Fraction(digits.replace(",", ""))


def _shortest(value: Fraction) -> str:
    rest, places = value.denominator, 0
    for prime in (2, 5):
        power = 0
        while rest % prime == 0:
            rest //= prime
            power += 1
        places = max(places, power)
    if rest != 1 or places == 0:
        return str(value)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def _unwrapped(text: str) -> str:
    return WRAPPED.sub(r"\1", text).replace("$", "").strip()


def _simple(text: str) -> str:
    text = text.translate(FULL_WIDTH)
    for pattern, replacement in LATEX:
        text = pattern.sub(replacement, text)
    return text


def _plain(text: str) -> str:
    r"""Text in which fractions of whole numbers are written `a/b`; a fraction after a digit gives a mixed number."""

    def written(found: re.Match[str]) -> str:
        before = f"{found['before']} " if found["before"] else ""
        return f"{before}{found['over']}/{found['under']}"

    return FRACTION.sub(written, _simple(text)).replace("$", " ").strip()


def _sign_first(text: str) -> str:
    """Text in which a separate sign is joined to its number: `- 3`, `-$3`."""
    return re.sub(r"^([-+])[$€£¥\s]+", r"\1", text)
