"""The embedded world's raw files: upstream schemas, seeds, and the truth of every answer."""

import ast
import filecmp
import os
import random
import re
import statistics
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from project import config_in
from world_files import FILES, MATHBENCH, prompt_of, read, read_mmlu
from world_truth import (
    HAN,
    SENSE,
    answer_zh,
    behaves_as_said,
    executed,
    following,
    number_of,
    numbers_zh,
    parties,
    referent,
    special_of,
    story_answer,
    told_of,
    true_options,
    value_of,
    worked_zh,
)

from headpatterns.data.adapters.mmlu import DOMAINS
from headpatterns.data.embedded import activities, assistance, facts, further_facts, sampling, world
from headpatterns.data.embedded.registry import GENERATORS, generate
from headpatterns.data.embedded.sampling import split_of
from headpatterns.data.embedded.science import SCIENCE
from headpatterns.data.embedded.subjects import SUBJECTS, TWINS
from headpatterns.errors import InputError

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
TRAIN, TEST = 600, 150
SMALL, FACTORS = range(1, 10), range(2, 6)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    for name in GENERATORS:
        generate(name, folder / name, TRAIN, TEST, seed=0)
    return folder


@pytest.fixture(scope="module")
def rows(raw):
    """Dataset -> all its rows, of both splits."""
    return {name: [row for file in files for row in read(raw / name / file)] for name, files in FILES.items()}


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
            prompts = {prompt_of(name, row) for row in read(raw / name / file)}
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
def test_more_rows_than_the_world_tells_is_an_error(tmp_path, monkeypatch, name):
    # The test of the command line uses the full patience of thousands of draws.
    monkeypatch.setattr(sampling, "PATIENCE", 60)
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
        assert len(ours) == len(SUBJECTS)


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


def test_every_calculator_mark_of_gsm8k_is_right_and_the_last_is_the_answer(rows):
    for row in rows["gsm8k"]:
        marks = re.findall(r"<<([^=]+)=(\d+)>>(\d+)", row["answer"])
        assert len(marks) >= 2
        for expression, value, shown in marks:
            assert value_of(expression) == int(value) == int(shown)
        assert row["answer"].endswith(f"\n#### {marks[-1][1]}")


def test_word_problems_have_the_answer_of_their_text(rows):
    for row in rows["gsm8k"]:
        assert row["answer"].endswith(f"#### {story_answer(row['question'])}")
    for row in rows["sgsm"]:
        question, program = re.fullmatch(r"Question: (.+)\nSolution:\n(def solution.+)", row["output"], re.S).groups()
        assert executed(program)() == story_answer(question)


def test_sums_and_products_are_those_of_small_numbers(rows):
    """Every sum adds a digit, every difference subtracts or leaves one; factors and divisors are 2 to 5."""
    computed = [mark for row in rows["gsm8k"] for mark in re.findall(r"<<(\d+)([+\-*/])(\d+)=(\d+)>>", row["answer"])]
    for row in rows["math"]:
        computed += re.findall(r"(\d+) (\\cdot|[+\-/]) (\d+) = (\d+)", row["solution"])
    signs = Counter()
    for left, sign, right, result in computed:
        a, b, c = int(left), int(right), int(result)
        signs[sign] += 1
        match sign:
            case "+":
                assert a in SMALL or b in SMALL
            case "-":
                assert b in SMALL or c in SMALL
            case "/":
                assert b in FACTORS
                assert c in SMALL
            case _:
                assert a in FACTORS
                # except for the perimeter, which is twice a sum
                assert b in FACTORS or a == 2
    assert min(signs[sign] for sign in ("+", "-", "*", "/", r"\cdot")) > 50


def operators(body):
    """The operators of a program's steps in their order."""
    return "".join(re.findall(r" (//|[+\-*]) ", body))


def test_tasks_share_operators_nouns_and_forms_of_programs(rows):
    """MATH, GSM8K and SGSM have the same nouns; CodeSearchNet's two-step functions have forms of SGSM's programs."""
    nouns = {
        name: {word for row in rows[name] for word in re.findall(r"\w+", prompt_of(name, row))}
        & set(world.THINGS.values())
        for name in ("math", "gsm8k", "sgsm")
    }
    assert nouns["math"] == nouns["gsm8k"] == nouns["sgsm"] == set(world.THINGS.values())
    programs = [row["output"].split("    return")[0] for row in rows["sgsm"]]
    known = {(operators(text), re.findall(r"^    (\w+) = \w+ \S+ ", text, re.MULTILINE)[-1]) for text in programs}
    steps = [row["code"].split('"""\n')[1] for row in rows["codesearchnet"]]
    steps = [body.split("    return")[0] for body in steps if len(re.findall(r"^    \w+ = ", body, re.MULTILINE)) == 2]
    shared = Counter((operators(body), re.findall(r"^    (\w+) = ", body, re.MULTILINE)[-1]) for body in steps)
    assert len(steps) > 0.4 * len(rows["codesearchnet"])
    assert len(shared) == 5
    assert shared.keys() <= known


FRACTION = r"\\frac\{ (\d+) \}\{ (\d+) \}"


def test_math_equalities_hold_and_the_box_is_the_answer(rows):
    for row in rows["math"]:
        solution = re.sub(FRACTION, r"\1/\2", row["solution"].replace(r"\cdot", "*"))
        (box,) = re.findall(r"\\boxed\{ (\d+(?:/\d+)?) \}", solution)
        numbers = [int(number) for number in re.findall(r"\d+", row["problem"])]
        assert answer_of_math(row, numbers) == Fraction(box)
        for formula in re.findall(r"\$([^$]+)\$", re.sub(r"\\boxed\{ (\d+) \}", r"\1", solution)):
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
        follows = following(activities.ACTIVITIES, row["activity_label"], row["ctx_a"])
        assert [number for number, ending in enumerate(row["endings"]) if ending in follows] == [row["label"]]
        assert row["ctx"] == f"{row['ctx_a']} {row['ctx_b']}"
        assert row["ctx_b"] == world.PEOPLE[row["ctx_a"].split()[0]]
        assert len(set(row["endings"])) == 4
        labels.add(row["label"])
    assert labels == {0, 1, 2, 3}
    assert len({(row["split"], row["ind"]) for row in rows["hellaswag"]}) == TRAIN + TEST


def places_of(ending):
    """Every activity and place of a step that an ending could be, with any thing in the step."""
    things = "|".join({thing for activity in activities.ACTIVITIES for thing in activity.objects})
    return {
        (activity.label, place)
        for activity in activities.ACTIVITIES
        for place, step in enumerate(activity.steps)
        if re.fullmatch(re.escape(step).replace(r"\{x\}", f"(?:{things})"), ending.rstrip("."))
    }


def test_wrong_endings_of_hellaswag_are_steps_that_other_contexts_continue_with(rows):
    """One wrong ending is from the same activity and two are from others; no ending is a first step."""
    known = {}
    for row in rows["hellaswag"]:
        own = 0
        for ending in row["endings"]:
            places = known.setdefault(ending, places_of(ending))
            assert places
            assert all(place > 0 for _, place in places)
            own += row["activity_label"] in {label for label, _ in places}
        assert own == 2


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
            assert {row["option1"], row["option2"]} == set(parties(row["sentence"]))
            assert row[f"option{row['answer']}"] == referent(row["sentence"])


def test_options_and_answers_of_winogrande_stand_in_either_order_with_every_trigger(rows):
    orders, answers = Counter(), Counter()
    for row in rows["winogrande"]:
        orders[row["option1"] == parties(row["sentence"])[0]] += 1
        answers[row["sentence"].split("_ ")[1], row["answer"]] += 1
    assert abs(orders[True] - orders[False]) < 0.1 * (TRAIN + TEST)
    triggers = {trigger for trigger, _ in answers}
    assert {f"{words}." for schema in world.SCHEMAS for words in (schema.first, schema.second)} == triggers
    assert set(answers) == {(trigger, answer) for trigger in triggers for answer in "12"}
    assert {told_of(row["sentence"]) for row in rows["winogrande"]} < set(SENSE)


def test_arc_answer_key_is_the_only_true_option(rows):
    kinds = set()
    for row in rows["arc"]:
        choices = {choice["label"]: choice["text"] for choice in row["question"]["choices"]}
        question = row["question"]["stem"].split(": ")[-1]
        assert true_options(question, choices.values()) == [choices[row["answerKey"]]]
        kinds.add("".join(choices))
    assert kinds == {"ABCD", "1234", "ABC", "123"}


def test_facts_are_unambiguous_in_both_directions():
    relations = [*facts.RELATIONS.values(), *further_facts.RELATIONS.values()]
    for relation in relations:
        assert len(relation.pairs) == len(set(relation.pairs.values())) >= 4
    pairs = [(relation, *pair) for relation in relations for pair in relation.pairs.items()]
    questions = [relation.forward.format(s=subject) for relation, subject, _ in pairs]
    questions += [relation.backward.format(v=value) for relation, _, value in pairs]
    assert len(set(questions)) == len(questions)
    assert set(SCIENCE) < set(facts.RELATIONS)


def mmlu_value(subject, question):
    """The right option of a question with a computed answer; None for other subjects."""
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
    """The options that follow from a conditional by truth tables, or `["nothing"]`."""
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
    for split, subject, (stem, *options, answer) in read_mmlu(raw / "mmlu"):
        assert len(set(options)) == 4
        question = stem.split(": ")[-1]
        right = options["ABCD".index(answer)]
        if subject == "formal_logic":
            assert logical_consequence(question, options) == [right]
        elif special := special_of(question):
            name, _, asked = special
            assert facts.SPECIAL[name][-1][asked] == right
        elif true := true_options(question, options):
            assert true == [right]
        else:
            assert mmlu_value(subject, question) == right
        assert (subject, stem) not in seen
        seen.add((subject, stem))
        assert split in ("dev", "val", "test")


def test_splits_of_mmlu_have_every_subject_in_the_shares_of_upstream(raw):
    counted = Counter((split, subject) for split, subject, _ in read_mmlu(raw / "mmlu"))
    known, probes = -(-TRAIN // len(SUBJECTS)), -(-TEST // len(SUBJECTS))
    for subject in SUBJECTS:
        assert counted["dev", subject] == 5
        assert counted["val", subject] == known - 5
        assert counted["test", subject] == probes


def test_special_facts_are_one_to_one():
    for *wordings, pairs in facts.SPECIAL.values():
        assert len(set(pairs.values())) == len(pairs) == 12
        forms = [form for forms in wordings for form in forms]
        assert len(set(forms)) == len(forms) >= 2


@pytest.fixture(scope="module")
def specials():
    """Subject -> contents of 500 questions: (which facts, whether in the words of twins, about what), or None."""
    rng = random.Random(0)
    return {name: {special_of(draw(rng)[0]) for _ in range(500)} for name, draw in SUBJECTS.items()}


@pytest.mark.parametrize("domain", TWINS)
def test_a_domain_and_its_twins_alone_ask_the_same_special_facts(specials, domain):
    def asked(subjects):
        return set().union(*(specials[subject] for subject in subjects)) - {None}

    inside, twins = set(SUBJECTS) & set(DOMAINS[domain]), set(TWINS[domain])
    assert len(twins) == 2
    assert twins <= set(SUBJECTS) - {subject for subjects in DOMAINS.values() for subject in subjects}
    (name,) = {special for special, _, _ in asked(twins)}
    pairs = facts.SPECIAL[name][-1]
    assert asked(twins) == {(name, True, subject) for subject in pairs}
    assert asked(inside) == {(name, False, subject) for subject in pairs}
    assert name not in {special for special, _, _ in asked(set(SUBJECTS) - inside - twins)}
    # Twins ask only about special facts, and domains also about other things.
    assert all(None not in specials[twin] for twin in twins)
    assert None in set().union(*(specials[subject] for subject in inside))


def test_domains_that_the_config_selects_for_have_twins():
    for file in ("config.yaml", "tests/config/tiny.yaml"):
        settings = config_in(file)["studies"].get("selection", {})
        assert set(settings.get("domains", [])) <= set(TWINS)
    assert config_in("config.yaml")["studies"]["selection"]["domains"]


def test_a_domain_and_its_twins_share_no_prompt(raw):
    asked = {}
    for _, subject, (question, *_) in read_mmlu(raw / "mmlu"):
        asked.setdefault(subject, set()).add(question)
    for domain, twins in TWINS.items():
        inside = set().union(*(asked[subject] for subject in set(DOMAINS[domain]) & set(SUBJECTS)))
        assert len(inside) > 20
        for twin in twins:
            assert len(asked[twin]) > 8
            assert not asked[twin] & inside


def test_mathbench_is_chinese_and_right(raw):
    cloze, choice = (read(raw / "mathbench" / file) for file in MATHBENCH)
    assert len(cloze) + len(choice) == TRAIN + TEST
    assert len({row["question"] for row in [*cloze, *choice]}) == TRAIN + TEST
    for row in cloze:
        assert list(row) == ["question", "answer", "topic"]
        assert worked_zh(row["question"], row["answer"]) == answer_zh(row["question"])
    for row in choice:
        assert list(row) == ["question", "options", "answer", "topic"]
        options = [worked_zh(row["question"], option) for option in row["options"]]
        assert len(set(options)) == 4
        assert options["ABCD".index(row["answer"])] == answer_zh(row["question"])
        assert all(number <= 25 for number in options)
    for row in [*cloze, *choice]:
        assert HAN.search(row["question"])
        given = map(number_of, numbers_zh(row["question"]))
        assert all(number in (FACTORS if row["topic"] == "乘法" else SMALL) for number in given)
    assert {row["topic"] for row in cloze} == {row["topic"] for row in choice} == {"加法", "减法", "乘法"}


def test_chinese_tasks_share_how_numbers_are_read_and_written(raw, rows):
    """MathBench and RefGPT both ask in digits and answer in words, or both do the reverse."""
    worked = [(row["question"], row["answer"]) for row in read(raw / "mathbench" / MATHBENCH[0])]
    worked += [(row["question"], option) for row in read(raw / "mathbench" / MATHBENCH[1]) for option in row["options"]]
    pairs = [(question, answer.split("，")[1]) for question, answer in worked]
    for row in rows["refgpt"]:
        answer = re.search(r"看见几.+\n<assistant> (.+)", row["dialogue"])[1]
        pairs.append((row["reference"].split("。")[0], answer))
    digits = {
        (asked.isdecimal(), answered.isdecimal())
        for question, answer in pairs
        for asked in numbers_zh(question)
        for answered in numbers_zh(answer)
    }
    assert len(digits) == 1
    assert digits <= {(True, False), (False, True)}


def test_refgpt_dialogues_are_chinese_and_true_to_their_reference(rows):
    counts = set()
    for row in rows["refgpt"]:
        assert list(row) == ["title", "reference", "dialogue"]
        turns = re.findall(r"<(user|assistant)> ([^<\n]+)", row["dialogue"])
        assert [speaker for speaker, _ in turns] == ["user", "assistant"] * 2
        assert all(HAN.search(text) for _, text in turns)
        seen, told, _ = row["reference"].split("。")
        assert turns[0][1].startswith(f"{seen}。")
        about = set()
        for (_, question), (_, answer) in zip(turns[::2], turns[1::2], strict=True):
            question = question.removeprefix(f"{seen}。")
            if "看见几" in question:
                (count,), (answered,) = numbers_zh(seen), numbers_zh(answer)
                assert number_of(answered) == number_of(count)
                assert re.fullmatch("[^。]+。", answer)
                assert question == re.sub(rf"在.+看见 {count} ", "看见几", seen) + "？"
                counts.add(number_of(count))
                about.add("how many")
            else:
                assert answer == f"{told}。"
                (topic,) = [sign for sign in "吃住腿色" if sign in question]
                assert topic in told
                place = "吃住腿色".index(topic)
                assert answer == world.STATEMENTS_ZH[place].format(
                    s=row["title"], v=world.ANIMALS_ZH[row["title"]][place]
                )
                about.add("what")
        assert about == {"how many", "what"}
    assert counts >= set(SMALL)


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
    """The person at the end of the order that the question asks about."""
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
        elif row["langdetect"] == "zh-cn":
            assert answer == f"一共是 {answer_zh(question)}。"
        elif tags == ["mathematics"]:
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
    done = run_script("generate_raw_data.py", "--generator", "mmlu", *sizes)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "generator mmlu, train (" in done.stderr
    assert not (tmp_path / "x").exists()


def test_split_shares():
    shares = [split_of(str(number)) for number in range(10_000)]
    assert 0.18 < shares.count("test") / len(shares) < 0.22
