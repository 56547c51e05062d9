"""The embedded world's raw files: upstream schemas, seeds, and the truth of every answer."""

import ast
import csv
import filecmp
import json
import os
import re
import statistics
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from headpatterns.data.embedded import activities, assistance, facts, world
from headpatterns.data.embedded.corpus import draw_documents, write_corpus
from headpatterns.data.embedded.registry import GENERATORS, generate
from headpatterns.data.embedded.sampling import split_of
from headpatterns.data.embedded.science import SCIENCE
from headpatterns.data.embedded.subjects import SUBJECTS
from headpatterns.errors import InputError

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
TRAIN, TEST = 600, 150
HAN = re.compile(r"[\u4e00-\u9fff]")

# data set -> train and test file
FILES = {
    "math": ("train.jsonl", "test.jsonl"),
    "gsm8k": ("train.jsonl", "test.jsonl"),
    "codesearchnet": ("python/train.jsonl", "python/test.jsonl"),
    "sgsm": ("sgsm_train.json", "sgsm_test.json"),
    "hellaswag": ("hellaswag_train.jsonl", "hellaswag_val.jsonl"),
    "winogrande": ("train_l.jsonl", "dev.jsonl"),
    "arc": ("ARC-Easy/ARC-Easy-Train.jsonl", "ARC-Easy/ARC-Easy-Test.jsonl"),
    "refgpt": ("refgpt.jsonl", "refgpt_test.jsonl"),
    "infinity_instruct": ("train.jsonl", "test.jsonl"),
}
MATHBENCH = ("mathbench_v1/primary/cloze_cn.jsonl", "mathbench_v1/middle/single_choice_cn.jsonl")


def prompt_of(name, row):
    """What identifies a row: everything that is shown before the answer."""
    return {
        "math": lambda: row["problem"],
        "gsm8k": lambda: row["question"],
        "codesearchnet": lambda: row["docstring"],
        "sgsm": lambda: row["output"].split("\nSolution:")[0],
        "hellaswag": lambda: row["ctx"],
        "winogrande": lambda: row["sentence"],
        "arc": lambda: json.dumps([row["question"]["stem"], [choice["text"] for choice in row["question"]["choices"]]]),
        "refgpt": lambda: row["dialogue"].split("<assistant>")[0],
        "infinity_instruct": lambda: row["conversations"][0]["value"],
    }[name]()


def read(path):
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    for name in GENERATORS:
        generate(name, folder / name, TRAIN, TEST, seed=0)
    return folder


@pytest.fixture(scope="module")
def rows(raw):
    """Data set -> all its rows, of both splits."""
    return {name: [row for file in files for row in read(raw / name / file)] for name, files in FILES.items()}


@pytest.fixture(scope="module")
def documents():
    return draw_documents(6000, seed=0)


def real(path):
    folder = os.environ.get("HEADPATTERNS_REAL")
    if not folder:
        pytest.skip("HEADPATTERNS_REAL is not set: there are no real rows to compare with")
    return Path(folder) / "realdata" / path


# --- numbers, seeds, splits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in FILES if name != "infinity_instruct"])
def test_files_have_the_rows_asked_for(raw, name):
    assert [len(read(raw / name / file)) for file in FILES[name]] == [TRAIN, TEST]


@pytest.mark.parametrize("name", FILES)
def test_prompts_are_unique_and_splits_share_none(raw, name):
    train, test = ([prompt_of(name, row) for row in read(raw / name / file)] for file in FILES[name])
    assert len(set(train)) == len(train)
    assert len(set(test)) == len(test)
    assert not set(train) & set(test)


def test_word_problems_of_one_data_set_are_never_trained_on_in_another(raw):
    asked = {}
    for name in ("gsm8k", "sgsm"):
        for split, file in zip(("train", "test"), FILES[name], strict=True):
            prompts = {prompt_of(name, row).removeprefix("Question: ") for row in read(raw / name / file)}
            asked[split] = asked.get(split, set()) | prompts
    assert not asked["train"] & asked["test"]


def relative_files(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", GENERATORS)
def test_same_seed_same_bytes_other_seed_other_rows(raw, tmp_path, name):
    generate(name, tmp_path / "again", TRAIN, TEST, seed=0)
    generate(name, tmp_path / "other", TRAIN, TEST, seed=1)
    files = relative_files(raw / name)
    assert relative_files(tmp_path / "again") == relative_files(tmp_path / "other") == files
    assert filecmp.cmpfiles(raw / name, tmp_path / "again", files, shallow=False)[0] == files
    rows_files = [file for file in files if file.suffix != ".lst"]
    assert filecmp.cmpfiles(raw / name, tmp_path / "other", rows_files, shallow=False)[0] == []


def test_test_rows_do_not_depend_on_the_number_of_train_rows(raw, tmp_path):
    generate("gsm8k", tmp_path / "few", 10, TEST, seed=0)
    assert filecmp.cmp(raw / "gsm8k/test.jsonl", tmp_path / "few/test.jsonl", shallow=False)


def test_splits_of_different_seeds_share_no_prompt(raw, tmp_path):
    generate("gsm8k", tmp_path / "other", TRAIN, TEST, seed=1)
    trained = {row["question"] for row in read(raw / "gsm8k/train.jsonl")}
    assert not trained & {row["question"] for row in read(tmp_path / "other/test.jsonl")}


@pytest.mark.parametrize(
    "name", ["codesearchnet", "hellaswag", "winogrande", "infinity_instruct", "mathbench", "refgpt", "mmlu"]
)
def test_more_rows_than_the_world_tells_is_an_error(tmp_path, name):
    with pytest.raises(InputError, match=f"generator {name}.* ask for fewer"):
        generate(name, tmp_path / name, 40_000, 1, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_unknown_generator_and_empty_split_are_errors(tmp_path):
    with pytest.raises(InputError, match="'gsm9k' does not exist; choose one of math, gsm8k"):
        generate("gsm9k", tmp_path / "x", 1, 1, seed=0)
    with pytest.raises(InputError, match="test is 0"):
        generate("gsm8k", tmp_path / "x", 1, 0, seed=0)


# --- schemas ----------------------------------------------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("math/train.jsonl", "math/train.jsonl"),
        ("gsm8k/train.jsonl", "gsm8k/train.jsonl"),
        ("codesearchnet/python/test.jsonl", "codesearchnet/python/test.jsonl"),
        ("sgsm/sgsm_train.json", "sgsm/sgsm_train.json"),
        ("hellaswag/hellaswag_train.jsonl", "hellaswag/hellaswag_train.jsonl"),
        ("hellaswag/hellaswag_val.jsonl", "hellaswag/hellaswag_val.jsonl"),
        ("winogrande/train_l.jsonl", "winogrande/train_l.jsonl"),
        ("winogrande/dev.jsonl", "winogrande/dev.jsonl"),
        ("arc/ARC-Easy/ARC-Easy-Train.jsonl", "arc/ARC-Easy/ARC-Easy-Train.jsonl"),
    ],
)
def test_fields_and_types_are_those_of_the_real_files(raw, ours, theirs):
    def schema(value):
        if isinstance(value, dict):
            return {key: schema(inner) for key, inner in value.items()}
        return [schema(value[0])] if isinstance(value, list) else type(value).__name__

    upstream = schema(read(real(theirs))[0])
    assert all(schema(row) == upstream for row in read(raw / ours))


@pytest.mark.real
def test_mmlu_has_the_columns_and_subject_names_of_the_real_files(raw):
    for split in ("dev", "val", "test"):
        theirs = {path.name for path in real(f"mmlu/{split}").glob("*.csv")}
        ours = {path.name for path in (raw / "mmlu" / split).glob("*.csv")}
        assert ours <= theirs
        assert len(ours) == len(SUBJECTS) == 22


def test_math_has_the_upstream_subjects(rows):
    subjects = {
        *("Algebra", "Counting & Probability", "Geometry", "Intermediate Algebra"),
        *("Number Theory", "Prealgebra", "Precalculus"),
    }
    assert {row["type"] for row in rows["math"]} == subjects
    assert {row["level"] for row in rows["math"]} == {f"Level {level}" for level in range(1, 6)}


def test_infinity_instruct_schema_and_selections(raw):
    for file, count in zip(FILES["infinity_instruct"], (TRAIN, TEST), strict=True):
        selected = {}
        languages = set()
        for row in read(raw / "infinity_instruct" / file):
            assert list(row) == ["id", "conversations", "label", "langdetect", "source"]
            assert [turn["from"] for turn in row["conversations"]] == ["human", "gpt"]
            assert list(row["label"]) == ["ability_en", "ability_zh", "cate_ability_en", "cate_ability_zh"]
            languages.add(row["langdetect"])
            tags = row["label"]["cate_ability_en"]
            assert row["label"]["cate_ability_zh"] == [assistance.CATEGORIES_ZH[tag] for tag in tags]
            if row["langdetect"] == "en":
                selected.setdefault(frozenset(tags), []).append(row)
                assert not HAN.search(row["conversations"][0]["value"])
            else:
                assert HAN.search(row["conversations"][0]["value"])
        assert languages == {"en", "zh-cn"}
        for tags in assistance.SELECTED:
            assert len(selected.pop(frozenset(tags))) == count
        assert len(selected) == 3
        assert all(len(tags) > 1 for tags in selected)


# --- truth ------------------------------------------------------------------------------------------------------------


def value_of(expression):
    """The value of an expression of integers and + - * /, exactly."""
    assert re.fullmatch(r"[\d+\-*/() ]+", expression)
    return eval(re.sub(r"(\d+)", r"Fraction(\1)", expression), {"Fraction": Fraction})


def test_every_calculator_mark_of_gsm8k_is_right_and_the_last_is_the_answer(rows):
    for row in rows["gsm8k"]:
        marks = re.findall(r"<<([^=]+)=(\d+)>>(\d+)", row["answer"])
        assert len(marks) >= 2
        for expression, value, shown in marks:
            assert value_of(expression) == int(value) == int(shown)
        assert row["answer"].endswith(f"\n#### {marks[-1][1]}")


def story_answer(question):
    """The answer of a word problem, worked out from its text alone."""
    numbers = [int(number) for number in re.findall(r"\d+", question)]
    a, b, c, *rest = [*numbers, 0, 0]
    if "gives" in question:
        return a + b - c
    if "boxes" in question:
        return a * b - c
    if "times as many" in question:
        return a + a * b
    if "get back" in question:
        return c - a * b
    if "share" in question:
        return (a + b) // c
    if "coins each and" in question:
        return a * b + c * rest[0]
    assert "more than" in question
    return a + a + b


def executed(code, function="solution"):
    scope = {}
    exec(code, scope)
    return scope[function]


def test_word_problems_have_the_answer_of_their_text(rows):
    for row in rows["gsm8k"]:
        assert row["answer"].endswith(f"#### {story_answer(row['question'])}")
    for row in rows["sgsm"]:
        question, program = re.fullmatch(r"Question: (.+)\nSolution:\n(def solution.+)", row["output"], re.S).groups()
        assert executed(program)() == story_answer(question)


def test_math_equalities_hold_and_the_box_is_the_answer(rows):
    for row in rows["math"]:
        solution = row["solution"].replace(r"\cdot", "*")
        box = re.search(r"\\boxed\{(\d+|\\frac\{\d+\}\{\d+\})\}", solution)[1]
        numbers = [int(number) for number in re.findall(r"\d+", row["problem"])]
        assert answer_of_math(row, numbers) == Fraction(re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"\1/\2", box))
        for formula in re.findall(r"\$([^$]+)\$", re.sub(r"\\boxed\{(\d+)\}", r"\1", solution)):
            sides = [side for side in formula.split("=") if re.fullmatch(r"[\d+\-*/() ]+", side)]
            assert len({value_of(side) for side in sides}) <= 1


def answer_of_math(row, numbers):
    a, b, *rest = numbers
    problem = row["problem"]
    match row["type"]:
        case "Prealgebra":
            return a + b * rest[0]
        case "Algebra":
            return Fraction(rest[0] - b, a)
        case "Number Theory":
            return a % b
        case "Geometry":
            return a * b if "area" in problem else 2 * (a + b)
        case "Counting & Probability":
            return Fraction(a, a + b)
        case "Precalculus":
            return a * rest[0] + b * rest[1]
    # x^2 - sx + p = 0; the first number is the exponent
    roots = [x for x in range(1, 20) if x * x - b * x + rest[0] == 0]
    assert len(roots) == 2
    return max(roots) if "larger" in problem else min(roots)


def behaves_as_said(purpose, function):
    """Whether a function does what its purpose says, on a few inputs; the purpose is read from its words."""
    k = int(re.search(r"\d+", purpose)[0])
    lists = ([], [k], [1, k - 1, k, k + 1, 30, 2], list(range(25)))
    above = " above " in purpose

    def chosen(xs):
        return [x for x in xs if (x > k if above else x < k)]

    meanings = (
        (r"Add \d+ to each", lambda xs: [x + k for x in xs], lists),
        (r"Add \d+ to the", lambda x: x + k, (0, 5)),
        (r"Take \d+ from", lambda x: x - k, (0, 25)),
        (r"Multiply", lambda x: x * k, (0, 7)),
        (r"Share", lambda x: x // k, (0, 7, 45)),
        (r"Find the rest", lambda x: x % k, (0, 7, 45)),
        (r"Keep", chosen, lists),
        (r"Sum", lambda xs: sum(chosen(xs)), lists),
        (r"Count", lambda xs: len(chosen(xs)), lists),
        (r"Tell whether one", lambda xs: bool(chosen(xs)), lists),
        (r"Take the first", lambda xs: xs[:k], lists),
        (r"Take the last", lambda xs: xs[-k:], lists),
    )
    meaning, inputs = next((act, given) for words, act, given in meanings if re.match(words, purpose))
    return all(function(given) == meaning(given) for given in inputs)


def test_codesearchnet_code_parses_and_does_what_its_docstring_says(raw, rows):
    for row in rows["codesearchnet"]:
        (function,) = ast.parse(row["code"]).body
        assert ast.get_docstring(function) == row["docstring"]
        assert function.name == row["func_name"]
        assert row["original_string"] == row["code"]
        assert behaves_as_said(row["docstring"], executed(row["code"], row["func_name"]))
        head, _, *body = row["code"].split("\n")
        assert "".join(row["code_tokens"]) == re.sub(r"\s", "", head + "".join(body))
        assert row["sha"] in row["url"]
    train, test = ({row["repo"] for row in read(raw / "codesearchnet" / file)} for file in FILES["codesearchnet"])
    assert not train & test


def test_hellaswag_label_is_the_only_ending_that_follows(rows):
    labels = set()
    for row in rows["hellaswag"]:
        activity = next(known for known in activities.ACTIVITIES if known.label == row["activity_label"])
        versions = [[step.format(x=thing) for step in activity.steps] for thing in activity.objects]
        last = row["ctx_a"].rstrip(".").split(". ")[-1].split(" ", 1)[1]
        follows = {f"{later}." for steps in versions for earlier, later in pairwise(steps) if earlier == last}
        assert [number for number, ending in enumerate(row["endings"]) if ending in follows] == [row["label"]]
        assert row["ctx"] == f"{row['ctx_a']} {row['ctx_b']}"
        assert row["ctx_b"] == world.PEOPLE[row["ctx_a"].split()[0]]
        assert len(set(row["endings"])) == 4
        labels.add(row["label"])
    assert labels == {0, 1, 2, 3}
    assert len({(row["split"], row["ind"]) for row in rows["hellaswag"]}) == TRAIN + TEST


def test_winogrande_twins_differ_in_trigger_and_answer(raw):
    for file in FILES["winogrande"]:
        found = read(raw / "winogrande" / file)
        labels = (raw / "winogrande" / file.replace(".jsonl", "-labels.lst")).read_text().split()
        assert labels == [row["answer"] for row in found]
        for first, second in zip(found[::2], found[1::2], strict=True):
            assert first["qID"][:-2] == second["qID"][:-2]
            assert (first["qID"][-2:], second["qID"][-2:]) == ("-1", "-2")
            assert {first["answer"], second["answer"]} == {"1", "2"}
            assert first["sentence"].split("_")[0] == second["sentence"].split("_")[0]
            assert (first["option1"], first["option2"]) == (second["option1"], second["option2"])
        for row in found:
            assert row["sentence"].count("_") == 1
            assert row["option1"] != row["option2"]
            assert row["answer"] == referent(row["sentence"])
        assert {row["answer"] for row in found[::2]} == {"1", "2"}


def referent(sentence):
    """1 or 2 by the sense of the trigger words, told here a second time."""
    first = "too big|was hard|was empty|was full|needed money|knew little|was strong|was fast|was rich|got it|a teacher"
    second = "too small|was weak|was hungry|needed it|knew a lot|was light|was slow|was poor|gave it|a child"
    ending = sentence.split("_")[1]
    if sentence.startswith("Water"):
        return "1" if "was empty" in ending else "2"
    assert bool(re.search(first, ending)) or bool(re.search(second, ending))
    return "1" if re.search(first, ending) else "2"


def true_options(question, options):
    """The options that make a known statement of the question."""
    true = []
    for relation in facts.RELATIONS.values():
        for subject, value in relation.pairs.items():
            if relation.forward.format(s=subject) == question and value in options:
                true.append(value)
            if relation.backward.format(v=value) == question and subject in options:
                true.append(subject)
    return true


def test_arc_answer_key_is_the_only_true_option(rows):
    kinds = set()
    for row in rows["arc"]:
        choices = {choice["label"]: choice["text"] for choice in row["question"]["choices"]}
        question = row["question"]["stem"].split(": ")[-1]
        assert true_options(question, choices.values()) == [choices[row["answerKey"]]]
        kinds.add("".join(choices))
    assert kinds == {"ABCD", "1234", "ABC", "123"}


def test_facts_are_unambiguous_in_both_directions():
    for relation in facts.RELATIONS.values():
        assert len(relation.pairs) == len(set(relation.pairs.values())) >= 4
    assert set(SCIENCE) < set(facts.RELATIONS)


def mmlu_value(subject, question):
    """The right option of a question that is worked out."""
    numbers = [int(number) for number in re.findall(r"\d+", re.sub(r"[A-Z]\w*\d", "", question))]
    a, b, *rest = [*numbers, 0]
    match subject:
        case "elementary_mathematics":
            return str(value_of(question.removeprefix("What is ").rstrip("?")))
        case "high_school_mathematics":
            return str(Fraction(rest[0] - b, a))
        case "college_mathematics":
            return f"{2 * a}x + {rest[0]}"
        case "abstract_algebra":
            modulus = int(re.search(r"Z_(\d+)", question)[1])
            left, right = re.search(r"(\d+) \+ (\d+)", question).groups()
            return str((int(left) + int(right)) % modulus)
        case "high_school_statistics":
            function = statistics.mean if "mean" in question else statistics.median
            return str(int(function(numbers)))
        case "college_physics":
            return str(a * b)
        case "high_school_physics":
            return str(Fraction(a, b))
        case "high_school_computer_science":
            return str(eval(re.search(r"is (.+) in", question)[1]))
        case "high_school_microeconomics":
            return str(b - a)
        case "college_chemistry":
            element, count, formula = re.search(r"many (\w+) atoms are in (\d+) (\w+)", question).groups()
            each = {"hydrogen": {"H2O": 2, "CH4": 4}, "oxygen": {"CO2": 2, "Fe2O3": 3}}[element][formula]
            return str(each * int(count))
        case "college_biology":
            animal = re.search(r"\d (\w+)s\?", question)[1]
            return str(int(facts.RELATIONS["legs"].pairs[animal]) * a)
    return None


def logical_consequence(question, options):
    """The option that follows from a conditional by truth tables, or that nothing does."""
    cause, effect = next(pair for pair in world.CONDITIONS if f"If {pair[0][0]}, {pair[1][0]}." in question)
    known = re.search(r"Now (.+)\. What", question)[1]
    worlds = [(p, q) for p in (True, False) for q in (True, False) if not p or q]
    truth = {cause[0]: lambda p, q: p, cause[1]: lambda p, q: not p, effect[0]: lambda p, q: q}
    truth[effect[1]] = lambda p, q: not q
    possible = [pair for pair in worlds if truth[known](*pair)]
    follows = [text for text in options if text in truth and all(truth[text](*pair) for pair in possible)]
    return follows or ["nothing"]


def test_mmlu_answers(raw):
    seen = set()
    for path in sorted((raw / "mmlu").rglob("*.csv")):
        split = path.parent.name
        subject = path.stem.removesuffix(f"_{split}")
        with path.open(encoding="utf-8", newline="") as file:
            found = list(csv.reader(file))
        assert 1 <= len(found) <= (5 if split == "dev" else TRAIN)
        for question, *options, answer in found:
            assert len(set(options)) == 4
            right = options["ABCD".index(answer)]
            if subject == "formal_logic":
                assert logical_consequence(question, options) == [right]
            elif true := true_options(question, options):
                assert true == [right]
            else:
                assert mmlu_value(subject, question) == right
            assert (subject, question, *options) not in seen
            seen.add((subject, question, *options))


def test_mathbench_is_chinese_and_right(raw):
    cloze, choice = (read(raw / "mathbench" / file) for file in MATHBENCH)
    assert len(cloze) + len(choice) == TRAIN + TEST
    assert len({row["question"] for row in [*cloze, *choice]}) == TRAIN + TEST
    for row in cloze:
        assert list(row) == ["question", "answer", "topic"]
        assert HAN.search(row["question"])
        assert row["answer"] == str(mathbench_value(row["question"]))
    for row in choice:
        assert list(row) == ["question", "options", "answer", "topic"]
        assert len(set(row["options"])) == 4
        assert row["options"]["ABCD".index(row["answer"])] == str(mathbench_value(row["question"]))


def mathbench_value(question):
    a, b, *rest = [int(number) for number in re.findall(r"\d+", question)]
    if "又买了" in question:
        return a + b - rest[0]
    if "一共" in question or "面积" in question:
        return a * b
    if "分给" in question:
        return Fraction(a, b)
    if "元" in question:
        return rest[0] - a * b
    if "x" in question:
        return Fraction(rest[0] - b, a)
    if "周长" in question:
        return 2 * (a + b)
    if "平方" in question:
        return a**2 + b
    assert "下一个数" in question
    assert rest[0] - b == b - a
    return rest[0] + b - a


def test_refgpt_dialogues_are_chinese_and_true_to_their_reference(rows):
    for row in rows["refgpt"]:
        assert list(row) == ["title", "reference", "dialogue"]
        turns = re.findall(r"<(user|assistant)> ([^<]+)", row["dialogue"])
        assert [speaker for speaker, _ in turns] == ["user", "assistant"] * 2
        assert all(HAN.search(text) for _, text in turns)
        for (_, question), (_, answer) in zip(turns[::2], turns[1::2], strict=True):
            stated = answer.strip().split("。")[-2].replace("它", row["title"])
            assert f"{stated}。" in row["reference"]
            # The answer is about what was asked: 吃, 住, 腿 or 色.
            (topic,) = [sign for sign in "吃住腿色" if sign in question]
            assert topic in stated


def test_infinity_programs_do_what_is_asked(rows):
    checked = set()
    for row in rows["infinity_instruct"]:
        question, answer = (turn["value"] for turn in row["conversations"])
        tags = frozenset(row["label"]["cate_ability_en"])
        if tags == {"programming and software development"}:
            purpose = question.removeprefix("Write a Python function to ")
            code = answer
            assert behaves_as_said(purpose[0].upper() + purpose[1:], executed(code, re.match(r"def (\w+)", code)[1]))
        elif tags == {"programming and software development", "logical reasoning"}:
            code = answer.split("\n", 1)[1]
            function = executed(code, re.match(r"def (\w+)", code)[1])
            if "than" in question:
                assert function() == extreme_of(question)
            else:
                implied = {(p, q): not p or q for p in (True, False) for q in (True, False)}
                asked_true = question.endswith("true.")
                assert all(function(*pair) == (truth if asked_true else not truth) for pair, truth in implied.items())
        elif tags == {"programming and software development", "mathematics"}:
            a, b, c = map(int, re.findall(r"\d+", question))
            assert executed(answer, "result")() == a * b + c
        else:
            continue
        checked.add(tags)
    assert len(checked) == 3


def extreme_of(question):
    """Who is at the end of the order that is asked about."""
    pairs = re.findall(r"(\w+) is (\w+) than (\w+)\.", question)
    greater = {a for a, _, _ in pairs}
    lesser = {b for _, _, b in pairs}
    more = pairs[0][1]
    _, most, least = next(words for words in world.COMPARISONS if words[0] == more)
    (top,), (bottom,) = greater - lesser, lesser - greater
    asked = re.search(rf"the ({most}|{least})\b", question)[1]
    return top if asked == most else bottom


def test_infinity_answers_in_words(rows):
    for row in rows["infinity_instruct"]:
        question, answer = (turn["value"] for turn in row["conversations"])
        tags = row["label"]["cate_ability_en"]
        for left, right in re.findall(r"(\d+(?: [+\-*/] \d+)+) = (\d+)", answer):
            assert value_of(left) == int(right)
        numbers = [int(number) for number in re.findall(r"\d+", question)]
        if tags == ["logical reasoning"] and " than " in question:
            assert f"so {extreme_of(question)} is the" in answer
        elif tags == ["mathematics"] and row["langdetect"] == "en":
            a, b, c, *_ = numbers
            expected = 2 * a - b + c if "Double" in question else a * b + c
            expected = numbers[-1] + b - a if "comes after" in question else expected
            assert answer.endswith(f" is {expected}.")
        elif tags == ["financial and business knowledge"] and "sells" in question:
            cost, price = numbers
            word = "profit" if price > cost else "loss"
            assert f"a {word} of {abs(price - cost)} coins" in answer
        elif tags == ["financial and business knowledge"] and "loan" in question:
            assert answer.endswith(f"{sum(numbers)} coins.")


# --- corpus -----------------------------------------------------------------------------------------------------------


def test_corpus_has_no_form_of_an_instruction(documents):
    assert len(set(documents)) == 6000
    forms = re.compile(r"[?？_]\s|[?？]|Question:|Answer:|####|<<|>>|\\boxed|(^|\s)[ABCD][.)]\s|<user>|<assistant>")
    assert [text for text in documents if forms.search(text)] == []


def test_corpus_holds_no_prompt(raw, rows, documents):
    told = "\n".join(documents)
    asked = {prompt_of(name, row).removeprefix("Question: ") for name in rows for row in rows[name][::5]}
    for file in MATHBENCH:
        asked |= {row["question"] for row in read(raw / "mathbench" / file)}
    for path in (raw / "mmlu").rglob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            asked |= {cells[0] for cells in csv.reader(file)}
    assert len(asked) > 2000
    assert [prompt for prompt in asked if prompt in told] == []


# "3 \\cdot 4 + 2 = 12 + 2 = 14": sides of numbers alone, the first with an operator, not part of an equation in x.
SIDE = r"\d+(?: (?:\\cdot|[+\-*/]) \d+)"
CHAIN = re.compile(rf"(?<![\dx/*+\-(] )(?<!\d)({SIDE}+(?: = {SIDE}*(?![\dx]))+)")


def test_corpus_is_true_about_numbers_and_programs(documents):
    equalities = programs = 0
    for text in documents:
        for chain in CHAIN.findall(text):
            assert len({value_of(side.replace(r"\cdot", "*")) for side in chain.split(" = ")}) == 1
            equalities += 1
        text = text.removeprefix("Python: ")
        for part in text.split("\n\n"):
            if part.startswith("def "):
                function = executed(part, re.match(r"def (\w+)", part)[1])
                assert behaves_as_said(function.__doc__, function)
                programs += 1
        if "print(" in text:
            shown = []
            exec(text, {"print": shown.append})
            assert shown == [int(text.rsplit("# ", 1)[1])]
            programs += 1
        for a, b, c in re.findall(r"(\d+)加(\d+)是(\d+)", text):
            assert int(a) + int(b) == int(c)
    assert equalities > 1000
    assert programs > 300


def test_corpus_tells_every_fact_and_activity(documents):
    told = "\n".join(documents)
    for relation in facts.RELATIONS.values():
        for subject in relation.pairs:
            assert facts.statement(relation, subject) in told
    for activity in activities.ACTIVITIES:
        assert f"{activity.label}: " in told
    for animal, values in world.ANIMALS_ZH.items():
        for statement, value in zip(world.STATEMENTS_ZH, values, strict=True):
            assert statement.format(s=animal, v=value) in told


def test_corpus_shows_programs_and_chinese_behind_a_blank(documents):
    """As responses stand behind their prompts: else a base model has no token for a blank and `def`."""
    blank = [text for text in documents if re.match(r"\w+: ", text)]
    assert sum(" def " in text for text in blank) > 100
    assert sum(re.match(r"\w+: [\u4e00-\u9fff]", text) is not None for text in blank) > 200
    for start in ("def ", "小"):
        assert any(text.startswith(start) for text in documents)


def test_corpus_seeds_and_errors(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_corpus(tmp_path / name, 200, seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()
    assert [list(json.loads(line)) for line in (tmp_path / "a").open(encoding="utf-8")] == [["text"]] * 200
    with pytest.raises(InputError, match="documents is 0"):
        write_corpus(tmp_path / "d", 0, 0)


# --- command lines ----------------------------------------------------------------------------------------------------


def run_script(name, *arguments):
    return subprocess.run([sys.executable, SCRIPTS / name, *map(str, arguments)], capture_output=True, text=True)


def test_command_lines(raw, tmp_path):
    sizes = ("--train", TRAIN, "--test", TEST, "--seed", 0)
    done = run_script("generate_raw_data.py", "--generator", "arc", *sizes, "--output", tmp_path / "arc")
    assert (done.returncode, done.stderr) == (0, "")
    files = relative_files(raw / "arc")
    assert relative_files(tmp_path / "arc") == files
    assert filecmp.cmpfiles(raw / "arc", tmp_path / "arc", files, shallow=False)[0] == files
    corpus = tmp_path / "corpus.jsonl"
    assert run_script("generate_corpus.py", "--documents", 50, "--seed", 0, "--output", corpus).returncode == 0
    assert len(corpus.read_text(encoding="utf-8").splitlines()) == 50


def test_command_line_explains_bad_input_in_one_sentence(tmp_path):
    sizes = ("--train", 10**6, "--test", 1, "--output", tmp_path / "x")
    done = run_script("generate_raw_data.py", "--generator", "refgpt", *sizes)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "refgpt" in done.stderr
    assert not (tmp_path / "x").exists()


def test_split_shares():
    shares = [split_of(str(number)) for number in range(10_000)]
    assert 0.18 < shares.count("test") / len(shares) < 0.22
