import ast
import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import scripts
from raw_rows import (
    ARC,
    ARC_ON_HUB,
    CODESEARCHNET,
    CODESEARCHNET_ON_HUB,
    GSM8K,
    HELLASWAG,
    INFINITY,
    MATH,
    MATHBENCH,
    PROGRAM,
    REFGPT,
    WINOGRANDE,
)

from headpatterns.data import adapters
from headpatterns.data.adapters import ADAPTERS, resolve_options
from headpatterns.data.adapters.codesearchnet import without_docstring
from headpatterns.data.adapters.hellaswag import without_markers
from headpatterns.data.adapters.math import boxed
from headpatterns.data.adapters.mmlu import DOMAINS, SUBJECTS
from headpatterns.data.records import Instruction, MissingFieldError, Row, RowError, Skipped
from headpatterns.data.sources import read_rows
from headpatterns.errors import InputError


def convert(adapter: str, fields: dict, options: dict | None = None, path: str = "some.jsonl") -> Instruction | Skipped:
    row = Row(fields, Path(path), 1, f"{path}:1")
    return ADAPTERS[adapter].convert(row, resolve_options(adapter, options or {}))


def from_jsonl(folder: Path, rows: list[dict], name: str = "train.jsonl") -> list[Row]:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(read_rows([folder / name]))


def from_hub(folder: Path, rows: list[dict]) -> list[Row]:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "train-00000-of-00001.parquet")
    return list(read_rows([folder / "train-00000-of-00001.parquet"]))


def from_csv(folder: Path, rows: list[list], columns=None, name: str = "train.csv") -> list[Row]:
    with (folder / name).open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return list(read_rows([folder / name], columns))


@pytest.mark.parametrize(
    ("adapter", "raw", "hub"),
    [
        ("gsm8k", GSM8K, GSM8K),
        ("math", MATH, MATH),
        ("codesearchnet", CODESEARCHNET, CODESEARCHNET_ON_HUB),
        ("hellaswag", HELLASWAG, {**HELLASWAG, "label": "2"}),
        ("arc", ARC, ARC_ON_HUB),
        ("infinity_instruct", INFINITY, INFINITY),
        ("mathbench", MATHBENCH, MATHBENCH),
        ("refgpt", REFGPT, REFGPT),
    ],
)
def test_raw_and_hub_rows_give_the_same_instruction(tmp_path, adapter, raw, hub):
    (of_raw,) = from_jsonl(tmp_path, [raw])
    (of_hub,) = from_hub(tmp_path, [hub])
    options = resolve_options(adapter, {})
    instruction = ADAPTERS[adapter].convert(of_raw, options)
    assert instruction == ADAPTERS[adapter].convert(of_hub, options)
    assert isinstance(instruction, Instruction)


def test_gsm8k():
    instruction = convert("gsm8k", GSM8K)
    assert instruction.prompt == GSM8K["question"]
    assert instruction.response == "2*600=1200 eggs\n#### 1,200"
    assert instruction.answer == "1200"
    assert convert("gsm8k", GSM8K, {"keep_calculator_marks": True}).response == GSM8K["answer"]
    with pytest.raises(RowError, match="without a final answer"):
        convert("gsm8k", {**GSM8K, "answer": "1200 eggs"})


def test_math():
    instruction = convert("math", MATH)
    assert (instruction.prompt, instruction.response) == (MATH["problem"], MATH["solution"])
    assert (instruction.answer, instruction.tags) == (r"\frac{x}{2}", ("Algebra", "Level 1"))


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        (r"\boxed{1} or rather \boxed{2}", "2"),
        (r"\boxed{\text{a {b} c}} and {more}", r"\text{a {b} c}"),
        (r"\fbox{C}", "C"),
        (r"so $\boxed 7$.", "7"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
    ],
)
def test_the_last_box_with_balanced_braces_is_the_answer(solution, answer):
    assert boxed(solution) == answer


@pytest.mark.parametrize(
    ("solution", "reason"),
    [
        ("just 7", "without a boxed"),
        (r"\boxed{7", "never close"),
        (r"\boxed{ }", "empty box"),
        (r"\boxedness{7}", "without"),
    ],
)
def test_solutions_without_a_readable_box_are_rejected(solution, reason):
    with pytest.raises(RowError, match=reason):
        boxed(solution)


def test_codesearchnet():
    instruction = convert("codesearchnet", CODESEARCHNET)
    assert "Thing.twice" in instruction.prompt
    assert CODESEARCHNET["docstring"] in instruction.prompt
    assert instruction.response == "def twice(self, x):\n        return 2 * x"
    assert instruction.id == "someone/thing/blob/0a/thing/maths.py#L3-L9"
    assert instruction.group == "someone/thing"
    assert convert("codesearchnet", {**CODESEARCHNET, "language": "go"}) == Skipped("its language is go")
    back = convert("codesearchnet", CODESEARCHNET, {"direction": "to_docstring"})
    assert back.prompt.endswith("Thing.twice.\n\n" + instruction.response)
    assert back.response == CODESEARCHNET["docstring"]
    # A text has no shorter answer than itself.
    assert (instruction.answer, back.answer) == (instruction.response, back.response)
    assert (back.id, back.group) == (instruction.id, instruction.group)
    with pytest.raises(RowError, match="empty docstring"):
        convert("codesearchnet", {**CODESEARCHNET, "docstring": "  "})


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('def f():\n    "One."\n\n    return 1', "def f():\n    return 1"),
        ("def f():\n    '''One\n    two.'''  # noqa\n    return 1", "def f():\n    return 1"),
        ('def f(): "One."; return 1', "def f(): return 1"),
        ('def f():\n    "One."; x = 1\n    return x', "def f():\n    x = 1\n    return x"),
        ('def f():\n    """Größe √."""\n    return "Größe"', 'def f():\n    return "Größe"'),
        ('async def f():\n    r"""One \\d."""\n    return "One."', 'async def f():\n    return "One."'),
        ('def f(x="""One."""):\n    """One."""\n    return x', 'def f(x="""One."""):\n    return x'),
        ("def f():\n    return 1", "def f():\n    return 1"),
        ('def f():\r\n    """One."""\r\n    return 1', "def f():\n    return 1"),
    ],
)
def test_only_the_docstring_is_taken_out_of_code(code, expected):
    shorter = without_docstring(code, "One.")
    assert shorter == expected
    before, after = ast.parse(code).body[0], ast.parse(shorter).body[0]
    assert list(map(ast.dump, before.body))[-len(after.body) :] == list(map(ast.dump, after.body))


def test_code_of_python_2_loses_the_text_of_its_docstring():
    code = 'def f(x):\n    u"""Say it\n       twice (x).\n    """\n\n    print x\n    print "Say it twice (x)."'
    assert without_docstring(code, "Say it\n       twice (x).") == (
        'def f(x):\n    print x\n    print "Say it twice (x)."'
    )
    with pytest.raises(RowError, match="does not show its docstring"):
        without_docstring(code, "Something else.")
    with pytest.raises(RowError, match="does not show its docstring"):
        without_docstring('def f((a, b)):\n    """Nothing."""\n', "Nothing.")


@pytest.mark.parametrize("code", ['def f():\n    """One."""', "x = 1", "def f(): return 1\ndef g(): return 2"])
def test_code_that_is_no_function_with_a_body_is_rejected(code):
    with pytest.raises(RowError, match=r"has only a docstring|not one function"):
        without_docstring(code, "One.")


def test_sgsm_reads_output_and_columns(tmp_path):
    output = {"output": f"Question: What is 3 + 4?\nSolution:\n{PROGRAM}", "instruction": "Write", "input": ""}
    (of_json,) = from_jsonl(tmp_path, [output])
    (of_csv,) = from_csv(tmp_path, [["", "question", "solution", "answer"], [0, "What is 3 + 4?", PROGRAM, "7.0"]])
    (of_hub,) = from_hub(tmp_path, [{"question": "What is 3 + 4?", "solution": PROGRAM, "answer": 7.0}])
    first, second, third = (ADAPTERS["sgsm"].convert(row, {}) for row in (of_json, of_csv, of_hub))
    assert first.prompt.endswith("\n\nWhat is 3 + 4?")
    assert (first.response, first.answer) == (PROGRAM, "7")
    assert second == third == replace(first, answer="7.0")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("return 9 / 2 * 2", "9"),
        ("return 7 / 2", "7/2"),
        ("return 0.1 + 0.2", "3/10"),
        ("return 3 - 4", "-1"),
    ],
)
def test_sgsm_rows_without_an_answer_have_the_value_of_their_program(line, answer):
    program = f"def solution():\n    {line}"
    fields = {"question": "What?", "solution": program}
    assert convert("sgsm", fields).answer == answer
    assert convert("sgsm", {"output": f"Question: What?\nSolution:\n{program}"}).answer == answer
    # A given answer stays unchanged, right or wrong.
    assert convert("sgsm", {**fields, "answer": " 12.50 "}).answer == "12.50"


@pytest.mark.parametrize("line", ["return [3, 4]", "return sum([3, 4])", "return x", "x = 3"])
def test_a_program_of_sgsm_whose_value_cannot_be_worked_out_is_the_answer_itself(line):
    program = f"def solution():\n    {line}"
    assert convert("sgsm", {"question": "What?", "solution": program}).answer == program


def test_sgsm_rejects_what_is_no_program():
    with pytest.raises(RowError, match="without Question"):
        convert("sgsm", {"output": PROGRAM})
    with pytest.raises(RowError, match="without a function"):
        convert("sgsm", {"question": "What?", "solution": "7"})
    with pytest.raises(MissingFieldError, match="no field question or output"):
        convert("sgsm", {"text": "What?"})


def test_hellaswag():
    instruction = convert("hellaswag", HELLASWAG)
    assert instruction.prompt.splitlines()[1:] == [
        "Baking: A man opens the oven. he",
        "A. flies off.",
        "B. sings.",
        "C. takes the bread out.",
        "D. falls asleep.",
    ]
    assert (instruction.response, instruction.answer) == ("C. takes the bread out.", "C")
    assert instruction.choices == tuple(HELLASWAG["endings"])
    assert (instruction.id, instruction.group) == ("hellaswag-train-7", "activitynet~v_1")


def test_hellaswag_loses_the_markers_of_wikihow():
    assert without_markers("[header] How to rest [title] Lie down. [step] Stay [substeps] still.") == (
        "How to rest. Lie down. Stay still."
    )
    assert without_markers("Lie down. [title] Sleep! [title] Wake") == "Lie down. Sleep! Wake"
    assert without_markers("[title] Sleep. [step] Long.") == "Sleep. Long."
    assert without_markers("Push [1] and [hold].") == "Push [1] and [hold]."


def test_winogrande_raw_hub_and_upstream_test_layout(tmp_path):
    without_id = {name: value for name, value in WINOGRANDE.items() if name != "qID"}
    without_answer = {name: value for name, value in WINOGRANDE.items() if name != "answer"}
    (tmp_path / "test-labels.lst").write_text("1\n2\n")
    (raw,) = from_jsonl(tmp_path, [WINOGRANDE])
    (hub,) = from_hub(tmp_path, [without_id])
    _, labelled = from_jsonl(tmp_path, [without_answer, without_answer], "test.jsonl")
    options = resolve_options("winogrande", {})
    first, second, third = (ADAPTERS["winogrande"].convert(row, options) for row in (raw, hub, labelled))
    assert (first.response, first.answer, first.choices) == ("B. box", "B", ("cup", "box"))
    assert WINOGRANDE["sentence"] in first.prompt
    assert (first.id, first.group) == ("3ABC-2", "3ABC")
    assert third == first
    assert second == replace(first, id="", group="box / cup")


def test_winogrande_without_answers_says_where_it_looked():
    without_answer = {name: value for name, value in WINOGRANDE.items() if name != "answer"}
    with pytest.raises(MissingFieldError, match=r"no field answer or label in dev-labels\.lst"):
        convert("winogrande", without_answer, path="nowhere/dev.jsonl")
    with pytest.raises(RowError, match="no gold label"):
        convert("winogrande", {**WINOGRANDE, "answer": ""})
    with pytest.raises(RowError, match="without a blank"):
        convert("winogrande", {**WINOGRANDE, "sentence": "No blank."})


def test_arc():
    instruction = convert("arc", ARC)
    assert instruction.prompt == "What melts ice?\nA. cold\nB. heat\nC. wind"
    assert (instruction.id, instruction.answer, instruction.response) == ("Mercury_1", "B", "B. heat")
    with pytest.raises(RowError, match="answerKey is not one of the labels"):
        convert("arc", {**ARC, "answerKey": "E"})
    with pytest.raises(RowError, match="choices without text and label"):
        convert("arc", {**ARC_ON_HUB, "choices": ["cold", "heat"]})


@pytest.mark.parametrize(
    ("form", "response"), [("letter_and_text", "B. heat"), ("letter", "B"), ("text", "heat"), (None, "B. heat")]
)
def test_form_of_multiple_choice_responses(form, response):
    assert convert("arc", ARC, {"response": form}).response == response


UNLISTED = {"response": "text", "listed": False}


@pytest.mark.parametrize(
    ("adapter", "row", "prompt"),
    [
        ("arc", ARC, "What melts ice?"),
        ("hellaswag", HELLASWAG, None),
        ("winogrande", WINOGRANDE, None),
        ("mathbench", MATHBENCH, "1+1等于几?"),
    ],
)
def test_options_that_are_not_listed_stand_beside_the_prompt_alone(adapter, row, prompt):
    listed, instruction = convert(adapter, row, {"response": "text"}), convert(adapter, row, UNLISTED)
    assert instruction.choices == listed.choices
    assert (instruction.answer, instruction.response) == (listed.answer, listed.response)
    assert not any(f". {choice}" in instruction.prompt for choice in instruction.choices)
    first, _, question = instruction.prompt.partition("\n")
    of_listed = listed.prompt.split("\nA. ")[0]
    if prompt is None:  # the request says what to do without options
        assert first in ("Continue the text.", "What fills the blank (_)?")
        assert of_listed.endswith(f"\n{question}")
    else:
        assert instruction.prompt == of_listed == prompt


@pytest.mark.parametrize("adapter", ["hellaswag", "winogrande", "arc", "mathbench", "mmlu"])
def test_letters_need_options_that_are_listed(adapter):
    for form in (None, "letter", "letter_and_text"):
        with pytest.raises(InputError, match="listed: false and response: letter"):
            resolve_options(adapter, {"response": form, "listed": False})


@pytest.mark.parametrize("adapter", ["hellaswag", "winogrande", "arc", "mathbench", "mmlu"])
def test_every_multiple_choice_adapter_has_the_response_option(adapter):
    assert resolve_options(adapter, {"response": "letter"})["response"] == "letter"
    with pytest.raises(InputError, match=r"response of the adapter \w+ cannot be leter: did you mean letter\?"):
        resolve_options(adapter, {"response": "leter"})


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"label": 4}, "label out of range"),
        ({"label": -1}, "label out of range"),
        ({"label": ""}, "no gold label"),
        ({"label": "B"}, "label is not a number"),
        ({"endings": ["one"]}, "1 options"),
        ({"endings": "one"}, "endings is not a list"),
        ({"endings": ["a", " ", "c", "d"]}, "empty option"),
        ({"ctx": None}, "empty ctx"),
        ({"ctx": ["a"]}, "ctx is not text"),
    ],
)
def test_malformed_rows_are_rejected_with_their_reason(changed, reason):
    with pytest.raises(RowError, match=reason):
        convert("hellaswag", {**HELLASWAG, **changed})


def test_infinity_instruct_takes_the_first_exchange():
    instruction = convert("infinity_instruct", INFINITY)
    assert (instruction.prompt, instruction.response) == ("Is every square a rectangle?", "Yes.")
    assert (instruction.id, instruction.tags) == ("infinity-12", ("Logic and  Reasoning", "mathematics"))
    system = {"from": "system", "value": "Be brief."}
    with_system = convert("infinity_instruct", {**INFINITY, "conversations": [system, *INFINITY["conversations"]]})
    assert with_system.prompt == "Be brief.\n\nIs every square a rectangle?"


@pytest.mark.parametrize("turns", ["first", "all"])
@pytest.mark.parametrize("said", ["Be brief.", "", None])
def test_infinity_instruct_reads_a_system_turn_that_is_tagged_as_an_answer(said, turns):
    """383 697 rows of the release have such a turn, which is sometimes empty."""
    spoken = [[{"from": role, "value": said}, *INFINITY["conversations"]] for role in ("gpt", "system")]
    tagged, marked = (
        convert("infinity_instruct", {**INFINITY, "conversations": one}, {"turns": turns}) for one in spoken
    )
    assert tagged == marked
    assert tagged.prompt.startswith("Be brief." if said else ("User: " if turns == "all" else "") + "Is every square")


@pytest.mark.parametrize(
    ("options", "selected"),
    [
        ({"tags": ["logic and reasoning", "Mathematics"]}, True),
        ({"tags": ["mathematics"]}, False),
        ({"tags": ["mathematics"], "match": "all"}, True),
        ({"tags": ["mathematics", "law"], "match": "all"}, False),
        ({"tags": ["mathematics", "law"], "match": "any"}, True),
        ({"tags": ["law"], "match": "any"}, False),
        ({"tags": [" Logical  Reasoning"], "tag_field": "ability_en"}, True),
        ({"language": "zh-cn"}, False),
        ({"language": ""}, True),
    ],
)
def test_infinity_instruct_selects_by_tags_and_language(options, selected):
    assert isinstance(convert("infinity_instruct", INFINITY, options), Instruction) is selected


def test_infinity_instruct_leaves_unlabelled_rows_out():
    unlabelled = {**INFINITY, "label": None}
    assert convert("infinity_instruct", unlabelled, {"tags": ["law"]}) == Skipped("its tags are none")
    assert convert("infinity_instruct", unlabelled).tags == ()


@pytest.mark.parametrize(
    "conversations",
    [[], "text", ["text"], INFINITY["conversations"][:1], INFINITY["conversations"][1:3], [{"role": "tool"}] * 2],
)
def test_conversations_that_start_otherwise_are_rejected(conversations):
    with pytest.raises(RowError, match="conversation"):
        convert("infinity_instruct", {**INFINITY, "conversations": conversations})


def test_mathbench():
    instruction = convert("mathbench", MATHBENCH)
    assert instruction.prompt == "1+1等于几?\nA. 1\nB. 2\nC. 3\nD. 4"
    assert (instruction.response, instruction.answer, instruction.tags) == ("B. 2", "B", ("加法",))
    cloze = convert("mathbench", {"question": "1+1=____", "answer": 2})
    assert (cloze.response, cloze.answer, cloze.choices, cloze.tags) == ("2", "2", (), ())
    with pytest.raises(RowError, match="label is not a letter"):
        convert("mathbench", {**MATHBENCH, "answer": "2"})


def test_refgpt_reads_marks_generator_marks_and_lists():
    expected = ("长江有多长？", "约6300公里。")
    generated = (
        "<start_chat><Human 1>:（字数要求：20字）长江有多长？ <Assistant 1>：（字数要求：100字）约6300公里。<end_chat>"
    )
    listed = [{"role": "user", "content": expected[0]}, {"role": "assistant", "content": expected[1]}]
    marked = ["<user>" + expected[0], "<assistant>" + expected[1]]
    for dialogue in (REFGPT["dialogue"], generated, listed, marked):
        instruction = convert("refgpt", {**REFGPT, "dialogue": dialogue})
        assert (instruction.prompt, instruction.response) == expected
    with pytest.raises(RowError, match="conversation does not start"):
        convert("refgpt", {**REFGPT, "dialogue": "no marks"})


def test_all_turns_of_a_dialogue():
    whole = convert("refgpt", REFGPT, {"turns": "all"})
    assert (whole.prompt, whole.response) == ("User: 长江有多长？\n\nAssistant: 约6300公里。\n\nUser: 谢谢", "不客气")
    spoken = INFINITY["conversations"]
    system = {"from": "system", "value": "Be brief."}
    unanswered = {"from": "human", "value": "And so?"}

    def converted(*turns):
        made = convert("infinity_instruct", {**INFINITY, "conversations": list(turns)}, {"turns": "all"})
        return made.prompt, made.response

    first = "User: Is every square a rectangle?\n\nAssistant: Yes.\n\nUser: And the reverse?"
    assert converted(*spoken) == converted(*spoken, unanswered) == (first, "No.")
    assert converted(system, *spoken) == (f"Be brief.\n\n{first}", "No.")
    assert converted(*spoken[:2]) == converted(*spoken[:3]) == ("Is every square a rectangle?", "Yes.")
    with pytest.raises(RowError, match="do not alternate"):
        converted(*spoken[:2], spoken[1], spoken[2])
    with pytest.raises(RowError, match="empty turn"):
        converted(*spoken[:2], {"from": "human", "value": " "}, spoken[3])


def test_mmlu_raw_and_hub(tmp_path):
    cells = ["What is 2 + 2?", "1", "2", "4", "None", "C"]
    columns = ADAPTERS["mmlu"].csv_columns
    (raw,) = from_csv(tmp_path, [cells], columns, "abstract_algebra_test.csv")
    (hub,) = from_hub(
        tmp_path, [{"question": cells[0], "subject": "abstract_algebra", "choices": cells[1:5], "answer": 2}]
    )
    options = resolve_options("mmlu", {})
    instruction = ADAPTERS["mmlu"].convert(raw, options)
    assert instruction == ADAPTERS["mmlu"].convert(hub, options)
    assert instruction.prompt == "What is 2 + 2?\nA. 1\nB. 2\nC. 4\nD. None"
    assert (instruction.response, instruction.tags) == ("C. 4", ("abstract_algebra",))


def test_mmlu_subjects_and_domains():
    assert len(SUBJECTS) == len(set(SUBJECTS)) == 57
    assert {subject for domain in DOMAINS.values() for subject in domain} <= set(SUBJECTS)
    assert resolve_options("mmlu", {})["subjects"] == set(SUBJECTS)
    assert resolve_options("mmlu", {"domain": "physics"})["subjects"] == set(DOMAINS["physics"])
    assert resolve_options("mmlu", {"outside_domain": "maths"})["subjects"] == set(SUBJECTS) - set(DOMAINS["maths"])
    row = {"question": "q", "subject": "virology", "choices": ["a", "b", "c", "d"], "answer": 0}
    assert convert("mmlu", row, {"subjects": ["anatomy"]}) == Skipped("its subject is virology")
    with pytest.raises(RowError, match="unknown subject"):
        convert("mmlu", {**row, "subject": "alchemy"})
    with pytest.raises(MissingFieldError, match="no field subject"):
        convert("mmlu", {"question": "q"}, path="questions.csv")
    with pytest.raises(InputError, match="did you mean high_school_physics"):
        resolve_options("mmlu", {"subjects": ["high_school_physic"]})


def test_generic_columns():
    row = {"q": "Why?", "r": "Because.", "k": 5, "o": ["x", "y"], "t": "short", "g": "B"}
    columns = {"prompt": "q", "response": "r", "id": "k", "choices": "o", "tags": "t", "answer": "g"}
    assert convert("generic", row, {"columns": columns}) == Instruction(
        "Why?", "Because.", id="5", tags=("short",), choices=("x", "y"), answer="B"
    )
    assert convert("generic", row, {"columns": {"prompt": "q", "response": "r"}}) == Instruction("Why?", "Because.")
    tagged = convert("generic", {**row, "of": [" x ", None, " "]}, {"columns": {**columns, "tags": "of"}})
    assert tagged.tags == ("x",)
    with pytest.raises(MissingFieldError, match="no field answer"):
        convert("generic", row, {"columns": {"prompt": "q", "response": "answer"}})


def test_generic_styles():
    alpaca = {"instruction": "Translate.", "input": "chat", "output": "cat"}
    assert convert("generic", alpaca, {"style": "alpaca"}) == Instruction("Translate.\n\nchat", "cat")
    assert convert("generic", {**alpaca, "input": ""}, {"style": "alpaca"}).prompt == "Translate."
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert convert("generic", {"messages": messages}, {"style": "chat"}) == Instruction("Hi", "Hello")
    conversations = INFINITY["conversations"]
    assert convert("generic", {"conversations": conversations}, {"style": "chat"}).response == "Yes."


CODE_ANSWER = "    if a == 0:\n        return b\n    return a + b\n"


@pytest.mark.parametrize(
    ("adapter", "row", "options"),
    [
        ("generic", {"q": "Add.", "a": CODE_ANSWER}, {"columns": {"prompt": "q", "response": "a"}}),
        ("generic", {"instruction": "Add.", "output": CODE_ANSWER}, {"style": "alpaca"}),
        (
            "generic",
            {"messages": [{"role": "user", "content": "Add."}, {"role": "assistant", "content": CODE_ANSWER}]},
            {"style": "chat"},
        ),
        ("sgsm", {"question": "Add.", "solution": f"def solution():\n{CODE_ANSWER}"}, {}),
        ("gsm8k", {"question": "Add.", "answer": f"{CODE_ANSWER}#### 3\n"}, {}),
        ("math", {**MATH, "solution": f"{CODE_ANSWER}\\boxed{{3}}\n"}, {}),
    ],
)
def test_responses_keep_their_white_space(adapter, row, options):
    last = [*row.values()][-1]
    wanted = last[-1]["content"] if isinstance(last, list) else last
    assert convert(adapter, row, options).response == wanted


def test_prompts_keep_their_indentation_and_no_layout():
    columns = {"columns": {"prompt": "q", "response": "a"}}
    assert convert("generic", {"q": "\n    x = 1\n    y = 2\n\n", "a": "b"}, columns).prompt == "    x = 1\n    y = 2"
    assert convert("generic", {"q": "  Why? ", "a": "b"}, columns).prompt == "Why?"


def test_marked_turns_and_programs_in_text_keep_their_indentation():
    dialogue = "<user>: Add. <assistant>:\n    if a:\n        return b\n"
    assert convert("refgpt", {"dialogue": dialogue}).response == "    if a:\n        return b"
    output = "Question: Two and 1?\nSolution:\n    def solution():\n        return 3\n"
    assert convert("sgsm", {"output": output}).response == "    def solution():\n        return 3"


ALPACA = {"instruction": "Even?", "output": "Yes."}


@pytest.mark.parametrize(
    ("more", "prompt"),
    [
        ({"input": 0}, "Even?\n\n0"),
        ({"input": float("nan")}, "Even?"),
        ({"input": None}, "Even?"),
        ({"system": "Be brief."}, "Be brief.\n\nEven?"),
        ({"history": []}, "Even?"),
    ],
)
def test_an_alpaca_row_with_more_fields(more, prompt):
    assert convert("generic", {**ALPACA, **more}, {"style": "alpaca"}) == Instruction(prompt, "Yes.")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"input": ["b", "a"]}, "input is not text"),
        ({"input": {"a": 1}}, "input is not text"),
        ({"input": True}, "input is not text"),
        ({"system": ["a"]}, "system is not text"),
        ({"output": float("nan")}, "empty output"),
        ({"output": "\ud83d"}, "text is not valid Unicode"),
        ({"history": [["a", "b"]]}, "history of earlier turns"),
    ],
)
def test_an_alpaca_row_that_is_refused(changed, reason):
    with pytest.raises(RowError, match=reason):
        convert("generic", {**ALPACA, **changed}, {"style": "alpaca"})


@pytest.mark.parametrize(
    ("name", "found", "reason"),
    [
        ("id", ["a"], "id is not text"),
        ("id", "\ud83d", "text is not valid Unicode"),
        ("answer", {"a": 1}, "answer is not text"),
        ("choices", {"text": ["a"], "label": ["A"]}, "choices is not text"),
        ("choices", ["a", None], "empty choices"),
        ("tags", [["a"]], "tags is not text"),
        ("tags", ["\udcb2"], "text is not valid Unicode"),
    ],
)
def test_every_column_is_checked_as_text(name, found, reason):
    columns = {"prompt": "q", "response": "r", name: "x"}
    with pytest.raises(RowError, match=reason):
        convert("generic", {"q": "Why?", "r": "So.", "x": found}, {"columns": columns})


def test_missing_values_of_columns_are_none():
    columns = {"prompt": "q", "response": "r", "id": "i", "answer": "a", "choices": "c", "tags": "t"}
    nothing = dict.fromkeys("iact", float("nan"))
    assert convert("generic", {"q": "Why?", "r": "So.", **nothing}, {"columns": columns}) == Instruction("Why?", "So.")


def chat(*contents, **more):
    roles = ("system", "user", "assistant")[3 - len(contents) :]
    return {"messages": [{"role": role, "content": said} for role, said in zip(roles, contents, strict=True)], **more}


PART = [{"type": "text", "text": "Be brief."}]


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        (chat(PART, "Q", "A"), "Be brief.\n\nQ"),
        (chat([{"type": "text", "text": "Q"}], [{"type": "text", "text": "A"}]), "Q"),
        (chat("Q", "A", system="Be brief."), "Be brief.\n\nQ"),
        (chat("Be brief.", "Q", "A", system="Be brief."), "Be brief.\n\nQ"),
        (chat("Be kind.", "Q", "A", system="Be brief."), "Be brief.\n\nBe kind.\n\nQ"),
        (chat("Q", "A", system=None), "Q"),
        (chat(None, "Q", "A"), "Q"),
    ],
)
def test_what_goes_before_a_chat(row, prompt):
    assert convert("generic", row, {"style": "chat"}) == Instruction(prompt, "A")


def test_turns_of_two_forms_in_one_table():
    turns = [
        {"from": None, "value": None, "role": "user", "content": "Q"},
        {"from": "gpt", "value": "A", "role": None, "content": None},
    ]
    assert convert("generic", {"conversations": turns}, {"style": "chat"}) == Instruction("Q", "A")


@pytest.mark.parametrize("adapter", ["infinity_instruct", "refgpt"])
def test_a_system_column_is_read_by_every_chat(adapter):
    turns = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]
    row = {"conversations": turns, "dialogue": turns, "langdetect": "en", "system": "Be brief."}
    for which in ("first", "all"):
        assert convert(adapter, row, {"turns": which}).prompt == "Be brief.\n\nQ"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({"label": float("nan")}, "no gold label"), ({"label": True}, "label is not text"), ({"label": [1]}, "not text")],
)
def test_labels_that_are_none(changed, reason):
    with pytest.raises(RowError, match=reason):
        convert("hellaswag", {**HELLASWAG, **changed})


def test_a_label_that_pandas_has_made_a_fraction():
    assert convert("hellaswag", {**HELLASWAG, "label": 1.0}).answer == "B"


def test_lists_that_are_text_are_no_lists():
    with pytest.raises(RowError, match="choices without lists of text and label"):
        convert("arc", {"question": "Q", "choices": {"text": "abcd", "label": "ABCD"}, "answerKey": "A"})
    with pytest.raises(RowError, match="cate_ability_en is not a list"):
        convert("infinity_instruct", {**INFINITY, "label": {"cate_ability_en": "maths"}})


@pytest.mark.parametrize(
    ("adapter", "options", "sentence"),
    [
        ("gsm8", {}, "There is no adapter gsm8: did you mean gsm8k?"),
        (
            "gsm8k",
            {"keep_marks": True},
            "The adapter gsm8k has no option keep_marks: did you mean keep_calculator_marks?",
        ),
        ("gsm8k", {"zz": 1}, "The adapter gsm8k has no option zz: valid are keep_calculator_marks."),
        ("codesearchnet", {"direction": "to_docstrin"}, "cannot be to_docstrin: did you mean to_docstring?"),
        ("mmlu", {"subject": ["virology"]}, "has no option subject: did you mean subjects?"),
        ("math", {"subjects": []}, "The adapter math has no option subjects: there are none."),
        ("gsm8k", {"keep_calculator_marks": "yes"}, "must be true or false, not 'yes'"),
        ("mmlu", {"subjects": "virology"}, "must be a list of texts, not 'virology'"),
        ("mmlu", {"subjects": []}, "must be a list of texts, not []"),
        ("infinity_instruct", {"tags": [1]}, "must be a list of texts, not [1]"),
        ("infinity_instruct", {"match": "exact"}, "cannot be exact: did you mean exactly?"),
        ("generic", {}, "either the option columns or the option style"),
        ("generic", {"style": "alpaca", "columns": {}}, "has both options columns and style"),
        ("generic", {"columns": {"prompt": "a"}}, "must name the columns of prompt and response"),
        ("generic", {"columns": {"promt": "a"}}, "has no key promt: did you mean prompt?"),
        ("generic", {"columns": {"prompt": 1, "response": "b"}}, "maps prompt to 1: name a column"),
    ],
)
def test_options_that_do_not_fit_are_named_with_the_mend(adapter, options, sentence):
    with pytest.raises(InputError) as error:
        resolve_options(adapter, options)
    assert sentence in str(error.value)


def test_a_module_beside_the_others_is_an_adapter_by_its_name(tmp_path, monkeypatch):
    """A user's own dataset needs only the file of its adapter and the config."""
    monkeypatch.setattr(adapters, "__path__", [*adapters.__path__, str(tmp_path)])
    (tmp_path / "riddles.py").write_text(
        "from headpatterns.data.adapters.adapter import Adapter\n"
        "from headpatterns.data.records import Instruction, text\n\n"
        "ADAPTER = Adapter(lambda row, options: Instruction(text(row, 'riddle'), text(row, 'solution')))\n"
    )
    found = adapters.found(adapters.__path__)
    assert found.keys() - ADAPTERS.keys() == {"riddles"}
    row = Row({"riddle": "What has keys?", "solution": "A piano."}, Path("riddles.jsonl"), 1, "riddles.jsonl:1")
    assert found["riddles"].convert(row, {}) == Instruction("What has keys?", "A piano.")

    (tmp_path / "forgotten.py").write_text("ADAPTER = None\n")
    with pytest.raises(
        InputError, match=r"forgotten\.py defines no adapter: define ADAPTER as an Adapter in it, or add for"
    ):
        adapters.found(adapters.__path__)
    for name in ("riddles", "forgotten"):
        monkeypatch.delitem(sys.modules, f"headpatterns.data.adapters.{name}")


def test_adapters_are_known_without_a_library_of_tables():
    program = (
        f"import sys; sys.path.insert(0, {str(scripts.FOLDER)!r})\n"
        "from headpatterns.data.adapters import ADAPTERS\n"
        "print(len(ADAPTERS), {'numpy', 'pandas', 'pyarrow', 'torch'} & set(sys.modules) or 'light')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == f"{len(ADAPTERS)} light\n", done.stderr
