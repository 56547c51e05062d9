r"""Reading answers from what models write: every documented rule, and what must not be read."""

import pytest

from headpatterns.evaluation import answers

TOOLS = ("clock", "ruler", "thermometer", "scale")


@pytest.mark.parametrize(
    "prediction",
    [
        "C. thermometer",
        "C.thermometer",
        "C",
        " C\n",
        "\n\nC. thermometer",
        "(C)",
        "(C) thermometer",
        "C) thermometer",
        "C: thermometer",
        "C、thermometer",
        "C。",
        "c",
        "c.",
        "(c)",
        "**C. thermometer**",
        "Ｃ．thermometer",
        "C\nthermometer",
        "C. clock",  # the letter counts, not the text
        "答案是C",
        "答案是 C。",
        "答案：C",
        "正确答案为（C）",
        "故选：C",
        "故选C。",
        "选择C，因为它最好",
        "答案：C。其他选项都不对",
        "The answer is C.",
        "The correct answer is (C), of course",
        "Let us think. Answer: C",
        "The correct option is C",
        "The answer is A? No, the answer is C",
        "The answer is option C",
        "The answer is thermometer.",
        "thermometer",
        "Thermometer.",
        "thermometer\nIt shows how warm it is.",
        "It is warm.\n#### C",
        "It is warm, so \\boxed{C}",
        "It is warm, so $\\boxed{\\text{C}}$.",
        "\\boxed{thermometer}",
        "First paragraph.\n\n\\boxed{C}",
        "C. thermometer\nQuestion: Which tool is heavy?\nAnswer: D. scale",
        "C. thermometer\n\nD. scale",
        "C. thermometer Question: And now? Answer: D",
    ],
)
def test_a_choice_is_read(prediction):
    assert answers.read(prediction, "A", TOOLS) == "C"


@pytest.mark.parametrize(
    "prediction",
    [
        "",
        " \n ",
        "E. hammer",
        "E",
        "The answer is E",
        "A clock shows the time",
        "Clocks and rulers",
        "BC",
        "A, B",
        "A/B",
        "D or C",
        "clock ruler",
        "I do not know.",
        "其他选项都不对",
        "Question: Which tool?\nAnswer: C",
        "Q: Which tool?\nA: C",
        "问题：哪个？\n答案：C",
    ],
)
def test_no_choice_is_read(prediction):
    assert answers.read(prediction, "C", TOOLS) is None


def test_only_letters_of_existing_options_are_read():
    assert answers.read("C", "A", TOOLS[:2]) is None
    assert answers.read("C", "A", TOOLS[:3]) == "C"
    assert answers.read("J.", "A", [str(n) for n in range(10)]) == "J"


def test_an_option_that_stands_there_twice_is_not_read_by_its_text():
    assert answers.read("ruler", "A", ("ruler", "Ruler.", "scale")) is None
    assert answers.read("scale", "A", ("ruler", "Ruler.", "scale")) == "C"


def test_options_that_are_numbers_are_compared_as_numbers():
    assert answers.read("1234", "A", ("12", "1,234")) == "B"
    assert answers.read("0.5", "A", ("\\frac{1}{2}", "2")) == "A"


@pytest.mark.parametrize(
    ("prediction", "number"),
    [
        ("1,234", "1234"),
        ("It costs $1,234,567.", "1234567"),
        ("1{,}234", "1234"),
        ("１，２３４", "1234"),
        ("1,2,3", "3"),
        ("They have 4+5=9 plates.\nEach child gets 9/3=3 plates.\n#### 3", "3"),
        ("9-2=7", "7"),
        ("9-2", "2"),
        ("(9)-2", "2"),
        ("x=-3", "-3"),
        ("等于-3", "-3"),
        ("−3", "-3"),
        ("+3", "3"),
        ("3/4", "0.75"),
        ("1 / 3", "1/3"),
        ("-2/6", "-1/3"),
        ("2 1/2 cups", "2.5"),
        ("$\\frac{3}{4}$", "0.75"),
        ("$-\\dfrac{1}{3}$", "-1/3"),
        ("\\frac12", "0.5"),
        ("1\\frac{1}{2}", "1.5"),
        ("0.50", "0.5"),
        (".5", "0.5"),
        ("5.0", "5"),
        ("5.", "5"),
        ("-0", "0"),
        ("007", "7"),
        ("50%", "50"),
        ("3:30", "30"),
        ("5 cm2", "5"),
        ("5 cm^2", "5"),
        ("5 cm^{2}", "5"),
        ("共有12个", "12"),
        ("#### 18\nand 19", "18"),
        ("12 #### 1,800 metres", "1800"),
        ("3 and 4, so \\boxed{7} of 9", "7"),
        ("\\boxed{1}, then \\boxed{2}", "2"),
        ("\\boxed{x = \\frac{1}{4}}", "0.25"),
        ("\\boxed{5\\text{ cm}}", "5"),
        ("a \\boxed{5", "5"),
        ("#### 4\nand \\boxed{5}", "4"),
        ("One 1.\n\nTwo 2.\n\n#### 3", "3"),
        ("#### 4\n\n#### 5", "4"),
        ("One 1.\n\nTwo 2.", "2"),
        ("6.\nQuestion: What is 8?\nAnswer: 8", "6"),
        ("6. Question: What is 8?", "6"),
        ("6.\n\nQuestion: What is 8?\n#### 8", "6"),
        ("6\nProblem 2: 8", "6"),
        ("6\n### Instruction:\n8", "6"),
        ("6\n问题：8", "6"),
        ("6\n例题2：8", "6"),
        ("7 and " + "9" * 200, "7"),
        ("7 of 1/0", "7"),
    ],
)
def test_a_number_is_read(prediction, number):
    assert answers.read(prediction, "0") == number


@pytest.mark.parametrize(
    "prediction", ["", "none", "cm2", "x^2", "Question: 5", "\n\n", "no number.\n\nnone", "9" * 5000, "1/0"]
)
def test_no_number_is_read(prediction):
    assert answers.read(prediction, "5") is None


def test_a_marked_answer_without_a_number_is_read_and_wrong():
    assert answers.read("5 \\boxed{x}", "5") == "x"


@pytest.mark.parametrize(
    ("gold", "wanted"),
    [
        ("18", "18"),
        ("1,234", "1234"),
        ("$18", "18"),
        ("\\$1,200", "1200"),
        ("-$5", "-5"),
        ("50\\%", "50"),
        ("90^\\circ", "90"),
        ("5\\text{ cm}", "5"),
        ("12元", "12"),
        ("3万", "3万"),
        ("2x", "2x"),
        ("x^2 + 1", "x^2+1"),
        ("(2, 3)", "(2,3)"),
        ("\\left(2,\\, 3\\right)", "(2,3)"),
        ("\\text{Even}", "even"),
        ("\\dfrac{x}{2}", "\\frac{x}{2}"),
        ("0.125", "0.125"),
        ("1/3", "1/3"),
        ("1234567.50", "1234567.5"),
        ("", None),
        (" . ", None),
    ],
)
def test_the_canonical_form_of_an_open_gold_answer(gold, wanted):
    assert answers.canonical(gold) == wanted


@pytest.mark.parametrize(
    ("prediction", "gold"),
    [
        ("The answer is 1,234.", "1234"),
        ("#### 0.5", "1/2"),
        ("\\boxed{\\tfrac{2}{4}}", "\\frac{1}{2}"),
        ("\\boxed{(2, 3)}", "(2,3)"),
        ("So it is $\\boxed{\\text{even}}$.", "\\text{even}"),
        ("The answer is Even.", "even"),
        ("even\nbecause 2 divides it", "even"),
        ("答案：甲。", "甲"),
        ("Answer: the blue one\nmore", "The blue one."),
        ("x^2+1", "x^2 + 1"),
    ],
)
def test_a_right_answer(prediction, gold):
    assert answers.read(prediction, gold) == answers.canonical(gold)


@pytest.mark.parametrize(
    ("prediction", "gold"),
    [("0.33", "1/3"), ("234", "1,234"), ("50", "0.5"), ("odd", "even"), ("It is even", "even"), ("(3,2)", "(2,3)")],
)
def test_a_wrong_answer(prediction, gold):
    read = answers.read(prediction, gold)
    assert read is not None
    assert read != answers.canonical(gold)


def test_a_gold_letter_must_name_an_option():
    assert answers.canonical(" c ", TOOLS) == "C"
    for gold in ("E", "", "AB", "thermometer", "1"):
        assert answers.canonical(gold, TOOLS) is None


def test_every_canonical_answer_reads_as_itself():
    for number in ("0", "-7", "0.75", "-0.5", "1/3", "-22/7", "1234567.125"):
        assert answers.number(number) == number
        assert answers.read(f"so #### {number}", "0") == number


PROGRAM = "def solution():\n    # Two bags\n    bags = 2\n    each = 7 / 4\n    return bags * each"


@pytest.mark.parametrize(
    ("prediction", "number"),
    [
        (PROGRAM, "3.5"),
        (f"{PROGRAM}\n", "3.5"),
        (f"Here is the function:\n\n{PROGRAM}\n\nThe answer is 9.", "3.5"),
        (f"#### 9\n{PROGRAM}", "3.5"),
        (f"```python\n{PROGRAM}\n```", "3.5"),
        (f"{PROGRAM}\nQuestion: What is 8?\n#### 8", "3.5"),
        ("def solution():\n    return 2 ** 3", "8"),
        ("def solution():\n    return 1 / 3", "1/3"),
        ("def solution():\n    return -7 // 2", "-4"),
        (f"18\n\nQuestion: And now?\nAnswer: {PROGRAM}", "18"),  # of a later task
        (f"18\nProblem: And now?\n{PROGRAM}", "18"),
        ("The function solution() returns 18", "18"),
        ("def other():\n    return 18", "18"),
    ],
)
def test_where_a_number_is_wanted_a_program_is_read_as_what_it_returns(prediction, number):
    assert answers.read(prediction, "5") == number


@pytest.mark.parametrize(
    "prediction",
    [
        "def solution():",
        "def solution():\n    bags = 2",
        "def solution():\n    return bags",
        "def solution():\n    return 'two'",
        "def solution():\n    return 7 +",
        "#### 5\ndef solution():\n    return x",
        "def solution():\n    x = 10 ** 64\n    x = x ** 64\n    return x * x",
    ],
)
def test_a_program_without_a_value_is_not_read(prediction):
    assert answers.read(prediction, "5") is None


def test_a_program_is_read_as_what_it_returns_only_where_a_number_is_wanted():
    assert answers.read(PROGRAM, "even") == answers.canonical("def solution():")
    assert answers.read(f"C. {PROGRAM}", "A", TOOLS) == "C"
    assert answers.read(PROGRAM, "A", TOOLS) is None


CODE = "def twice(x):\n    # Example: 2 of 1\n    y = 2 * x\n    return y"


@pytest.mark.parametrize(
    "prediction",
    [
        CODE,
        f"\n{CODE}\n\n",
        CODE.replace("\n    return", "\n\n  \n    return"),
        CODE.replace("\n", "  \n"),
        CODE.replace("\n", "\r\n"),
        f"{CODE}\nQuestion: Write another.\nAnswer: def f(): pass",
        f"{CODE}\n\nQuestion 2: Write another.",
    ],
)
def test_a_text_of_several_lines_is_compared_line_by_line(prediction):
    assert answers.canonical(CODE) == CODE
    assert answers.read(prediction, CODE) == CODE


@pytest.mark.parametrize(
    "prediction",
    [
        CODE.replace("2 * x", "2*x"),
        CODE.replace("    return", "  return"),
        CODE.replace("# Example: 2 of 1", "# Example: 3 of 1"),
        CODE.replace("return y", "return x"),
        CODE.replace("def twice", "def Twice"),
        f"{CODE}\nprint(twice(1))",
        CODE.splitlines()[0],
        f"#### {CODE}",
        "The answer is:\n" + CODE,
    ],
)
def test_another_program_is_another_answer(prediction):
    read = answers.read(prediction, CODE)
    assert read is not None
    assert read != answers.canonical(CODE)


@pytest.mark.parametrize("prediction", ["", " \n ", "Question: Write another.\nAnswer: " + CODE])
def test_no_program_is_read(prediction):
    assert answers.read(prediction, CODE) is None


def test_a_gold_answer_of_one_line_is_no_program():
    assert answers.canonical("def f(): return 1\n") == "def f():return 1"
    assert answers.read("Def  f() : return 1", "def f(): return 1") == answers.canonical("def f(): return 1")


@pytest.mark.parametrize(
    ("prediction", "number"),
    [
        ("The house costs 130,000.\n\nIt is then worth 200,000.\n\nThe profit is 70,000.", "70000"),
        ("3 and 4 make 7.\n\nTwice that.\n\nThe answer is 14.", "14"),
        ("The answer is 14.\n\nI like 3 cats.", "14"),
        ("The answer is 14. It is 2 more than 12.", "14"),
        ("The answer is:\n\n14", "14"),
        ("The answer is below.\n\n14", "14"),
        ("14\n\nI like 3 cats.", "14"),
        ("First \\boxed{3}.\n\nSo it is \\boxed{6}.", "6"),
        ("<think>\nMaybe 5?\n\nNo, 6.\n</think>\n\nThe answer is 6.", "6"),
        ("<think>#### 5</think>6", "6"),
        ("Maybe 5.\n</think>\n6", "6"),
        ("<think>A</think><THINKING>5</THINKING>6", "6"),
    ],
)
def test_the_number_of_the_conclusion_is_read(prediction, number):
    assert answers.read(prediction, "0") == number


@pytest.mark.parametrize(
    "prediction",
    [
        "Let me think about tools.\n\nThe answer is C.",
        "Let me think.\n\nC",
        "Let me think.\n\n(C) thermometer",
        "Let me think.\n\nThermometer.",
        "A. clock tells the time.\n\nC. thermometer is warm.\n\nThe answer is C.",
        "C. thermometer\n\nThe answer is A to others.",
        "<think>A. clock\n\nThe answer is B.</think>\n\nC",
    ],
)
def test_the_choice_of_a_later_paragraph_is_read(prediction):
    assert answers.read(prediction, "A", TOOLS) == "C"


@pytest.mark.parametrize("gold", ["5", "even", CODE])
def test_a_thought_that_does_not_end_is_no_answer(gold):
    assert answers.read(f"<think>{gold}", gold) is None
    assert answers.read(f"<think>no</think>{gold}", gold) == answers.canonical(gold)


def test_options_listed_in_the_last_paragraph_are_no_choice():
    assert answers.read("Which is it?\n\nA. clock\nB. ruler", "A", TOOLS) is None
