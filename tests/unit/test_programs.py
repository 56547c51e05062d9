"""A small program has the value that Python would return, and a text that is not arithmetic has no value."""

import csv
import json
import os
from fractions import Fraction
from pathlib import Path

import pytest

from headpatterns.data import programs
from headpatterns.data.adapters.sgsm import QUESTION_AND_SOLUTION
from headpatterns.evaluation import answers


def body(*lines):
    return "\n".join(["def solution():", *(f"    {line}" for line in lines)])


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        (["return 7"], 7),
        (["a = 3", "b = a * 4", "return b - 5"], 7),
        (["return 7 / 2"], Fraction(7, 2)),
        (["return 1 / 3"], Fraction(1, 3)),
        (["return 0.1 + 0.2"], Fraction(3, 10)),
        (["return 17 // 5"], 3),
        (["return -17 // 5"], -4),
        (["return 17 % 5"], 2),
        (["return -17 % 5"], 3),
        (["return 7.5 // 2"], 3),
        (["return 7.5 % 2"], Fraction(3, 2)),
        (["return 2 ** 10"], 1024),
        (["return 2 ** -2"], Fraction(1, 4)),
        (["return (1 + 2) * 3 - -4"], 13),
        (["return 1e3 + 1_000"], 2000),
        (["a = 1", "a += 2", "a *= 5", "a -= 1", "a /= 4", "return a"], Fraction(7, 2)),
        (["a = 7", "a //= 2", "a **= 2", "a %= 5", "return a"], 4),
        (["a = 1", "a = a + 1", "return a"], 2),
        (["return 3", "return 4"], 3),
        (["return int(7 / 2)"], 3),
        (["return int(-7 / 2)"], -3),
        (["return float(3) / 2"], Fraction(3, 2)),
        (["return abs(3 - 5)"], 2),
        (["return round(7 / 2)"], 4),
        (["return round(5 / 2)"], 2),
        (["return round(7 / 3, 1)"], Fraction(23, 10)),
        (["return min(3, 1, 2) + max(3, 1, 2)"], 4),
        (["return ceil(7 / 2) - floor(7 / 2)"], 1),
        (["# Half of seven", "a = 7  # seven", "", "return a / 2"], Fraction(7, 2)),
        (['"""Half of seven."""', "pass", "return 7 / 2"], Fraction(7, 2)),
    ],
)
def test_a_program_has_the_value_that_it_returns(lines, value):
    text = body(*lines)
    found = programs.value(text)
    assert isinstance(found, Fraction)
    assert found == value
    scope = {}
    exec(f"from math import ceil, floor\n{text}", scope)
    assert scope["solution"]() == pytest.approx(float(value))


@pytest.mark.parametrize(
    "text",
    [
        body("return 7"),
        f"{body('return 7')}\n",
        f"{body('return 7')}\nprint(solution())",
        f"{body('return 7')}\nQuestion: What is 8?\n{body('return 8')}",
        f"Here it is:\n\n{body('return 7')}",
        f"```python\n{body('return 7')}\n```",
        "def solution(): return 7",
        "def solution():\n\treturn 7",
        "def solution():\n\n    a = 7\n\n    return a",
        "  def solution():\n      return 7\n  return 8",
        "def solution() -> int:\n    return 7",
    ],
)
def test_the_function_ends_where_its_lines_do(text):
    assert programs.value(text) == 7


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "def other():\n    return 7",
        "def solution(",
        "def solution():",
        "def solution():\nreturn 7",
        "solution = lambda: 7",
        "use def solution() for that",
        body("return"),
        body("a = 7"),
        body("return 7 +"),
        body("return a"),
        body("return a", "a = 7"),
        body("a += 7", "return a"),
        body("return '7'"),
        body("return True"),
        body("return None"),
        body("return 7j"),
        body("return [7]"),
        body("return 7 if 1 else 8"),
        body("return 7 > 6"),
        body("return 6 | 1"),
        body("return not 7"),
        body("return 7 / 0"),
        body("return 7 % 0"),
        body("return 0 ** -1"),
        body("return 4 ** 0.5"),
        body("return 2 ** 65"),
        body("return 1e400"),
        body("if 1:", "    return 7"),
        body("for a in (7,):", "    return a"),
        body("while True:", "    a = 7"),
        body("a, b = 7, 8", "return a"),
        body("a.b = 7", "return 7"),
        body("import math", "return 7"),
        body("print(7)", "return 7"),
        body("return sum([7])"),
        body("return min()"),
        body("return min(7)"),
        body("return abs(7, 8)"),
        body("return round(7, ndigits=1)"),
        body("return math.floor(7)"),
        body("return int('7')"),
        body("return (lambda: 7)()"),
        f"{body('return 7')}\x00",
    ],
)
def test_what_is_no_arithmetic_has_no_value(text):
    assert programs.value(text) is None


@pytest.mark.parametrize(
    "lines",
    [
        ["a = 10 ** 64", "a = a ** 64", "a = a ** 64", "return a"],
        ["a = 10 ** 64", *["a = a * a"] * 40, "return a"],
        ["a = 10 ** -64", *["a = a * a"] * 40, "return 1"],
        ["a = 3 / 7", *["a = a * a"] * 60, "return a"],
        ["return 10 ** 64 ** 64"],
        ["return round(7 / 2, 10 ** 12)"],
        ["return " + "9" * 4000],
        ["return " + "9" * 5000],
        ["return " + "+".join(["1"] * 5000)],
        ["return " + "(" * 300 + "1" + ")" * 300],
        ["return " + "-" * 50_000 + "1"],
    ],
)
def test_programs_without_measure_end_at_once_and_have_no_value(lines):
    assert programs.value(body(*lines)) is None


def test_nothing_is_executed(tmp_path):
    trace = tmp_path / "trace"
    touch = f"open({str(trace)!r}, 'w')"
    for lines in (
        [touch, "return 7"],
        [f"a = {touch}", "return 7"],
        [f"return {touch}"],
        [f"return int({touch})"],
        [f"a = [{touch} for a in (1,)]", "return 7"],
        [f"def other(b={touch}):", "    pass", "return 7"],
    ):
        assert programs.value(body(*lines)) is None
    for text in (
        f"{touch}\n{body('return 7')}\n{touch}",
        f"def solution(a={touch}):\n    return 7",
        f"def solution() -> {touch}:\n    return 7",
        f"@{touch}\n{body('return 7')}",
    ):
        assert programs.value(text) == 7
    assert not trace.exists()


# --- real programs ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real():
    if "HEADPATTERNS_REAL" not in os.environ:
        pytest.skip("HEADPATTERNS_REAL is unset: no real rows to read")
    return Path(os.environ["HEADPATTERNS_REAL"]) / "realdata/sgsm"


@pytest.mark.real
def test_nearly_every_real_program_has_a_value_and_is_read_as_it(real):
    rows = json.loads((real / "sgsm_train.json").read_text(encoding="utf-8"))
    matches = [QUESTION_AND_SOLUTION.fullmatch(row["output"]) for row in rows]
    texts = [found[2] for found in matches if found and programs.HEAD in found[2]]
    values = {text: found for text in texts if (found := programs.value(text)) is not None}
    assert len(texts) == 1906
    assert sum(text in values for text in texts) == 1886
    for text, found in values.items():
        assert answers.read(text, "7") == answers.canonical(str(found))


@pytest.mark.real
def test_real_answers_are_the_values_of_their_programs(real):
    """EGSM has the answers that its authors' Python returned, in floating point."""
    with (real / "egsm.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    compared = 0
    for row in rows:
        found = programs.value(row["solution"])
        if found is not None:
            assert float(found) == pytest.approx(float(row["answer"])), row["solution"]
            compared += 1
    assert compared > 0.95 * len(rows)
