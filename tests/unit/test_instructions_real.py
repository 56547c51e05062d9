"""The adapters on real rows, if HEADPATTERNS_REAL names a folder with such rows."""

import ast
import csv
import json
import os
import re
from pathlib import Path

import pytest

from headpatterns.data.adapters import ADAPTERS, resolve_options
from headpatterns.data.adapters.mmlu import SUBJECTS
from headpatterns.data.preparation import Prepared, prepare
from headpatterns.errors import InputError

PROBE = 100

# The splits of upstream. CodeSearchNet (one partition here) and SGSM (no partition) have a held-out probe set.
DATASETS = {
    "gsm8k": (["gsm8k/train.jsonl"], ["gsm8k/test.jsonl"]),
    "math": (["math/train.jsonl"], ["math/test.jsonl"]),
    "codesearchnet": (["codesearchnet/python"], []),
    "sgsm": (["sgsm"], []),
    "hellaswag": (["hellaswag/hellaswag_train.jsonl"], ["hellaswag/hellaswag_val.jsonl"]),
    "winogrande": (["winogrande/train_l.jsonl"], ["winogrande/dev.jsonl"]),
    "arc": (["arc/**/*Train.jsonl"], ["arc/**/*Test.jsonl"]),
    "mmlu": (["mmlu/dev", "mmlu/val"], ["mmlu/test"]),
}


@pytest.fixture(scope="module")
def real() -> Path:
    if "HEADPATTERNS_REAL" not in os.environ:
        pytest.skip("HEADPATTERNS_REAL is unset: no real rows to read")
    return Path(os.environ["HEADPATTERNS_REAL"]) / "realdata"


@pytest.fixture(scope="module")
def load(real):
    made: dict[str, Prepared] = {}

    def load(name: str) -> Prepared:
        if name not in made:
            train, probe = ([str(real / path) for path in paths] for paths in DATASETS[name])
            made[name] = prepare(
                dataset=name, adapter=name, train_files=train, probe_files=probe, probe_samples=PROBE, seed=1
            )
        return made[name]

    return load


@pytest.mark.parametrize("name", DATASETS)
def test_nearly_every_real_row_becomes_a_sound_instruction(load, name):
    made = load(name)
    for split, counts in made.report["splits"].items():
        rejected = sum(counts["rejected"].values())
        print(f"{name} {split}: {rejected} of {counts['rows_read']} rows rejected {counts['rejected']}")
        assert rejected <= 0.01 * counts["rows_read"]
    assert len(made.probe) == PROBE
    assert len(made.train) >= 1000
    for one in [*made.train, *made.probe]:
        assert one.id and one.group
        assert one.response == f" {one.response.strip()}"
        assert one.prompt.startswith("Question: ") and one.prompt.endswith("\nAnswer:")


@pytest.mark.parametrize("name", ["hellaswag", "winogrande", "arc", "mmlu"])
def test_real_choices_are_lettered_and_answered(load, name):
    made = load(name)
    answers = [one.answer for one in [*made.train, *made.probe]]
    for one in [*made.train, *made.probe]:
        position = "ABCDE".index(one.answer)
        assert one.response == f" {one.answer}. {one.choices[position]}"
        assert f"\n{one.response.strip()}\n" in one.prompt
    options = max(len(one.choices) for one in made.train)
    # The gold letters are spread evenly: with a wrong offset, a letter would be missing or dominate.
    for letter in "ABCD"[: min(options, 4)]:
        assert 0.6 / min(options, 4) < answers.count(letter) / len(answers) < 1.4 / min(options, 4)


def test_real_gsm8k_answers_are_the_numbers_on_the_last_line(load):
    for one in load("gsm8k").train:
        assert re.fullmatch(r"-?\d+(\.\d+)?", one.answer)
        assert one.response.strip().splitlines()[-1].replace(",", "") == f"#### {one.answer}"
        assert "<<" not in one.response


def test_real_math_answers_come_from_their_boxes(load):
    for one in load("math").train:
        assert one.answer and one.answer in one.response
        assert one.answer.replace(r"\{", "").count("{") == one.answer.replace(r"\}", "").count("}")
        assert one.tags[1].startswith("Level ")


def test_the_folder_tree_of_math_equals_its_jsonl_rows(real):
    def contents(*paths):
        made = prepare(
            dataset="math", adapter="math", train_files=[real / path for path in paths], probe_samples=1, seed=1
        )
        return {(one.prompt, one.response, one.answer, one.tags) for one in [*made.train, *made.probe]}, made

    tree, made = contents("math/MATH")
    rows, _ = contents("math/train.jsonl", "math/test.jsonl")
    assert len(tree) == 280
    assert tree <= rows
    assert all(re.fullmatch(r"math-((train|test)-)?[a-z_]+-\d+", one.id) for one in made.train)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_real_code_has_lost_its_docstring_and_nothing_else(real, load):
    made = load("codesearchnet")
    assert not {one.group for one in made.train} & {one.group for one in made.probe}
    codes = {}
    for file in sorted((real / "codesearchnet/python").glob("*.jsonl")):
        for line in file.read_text().split("\n")[:-1]:
            row = json.loads(line)
            codes[row["url"].removeprefix("https://github.com/")] = row
    parsed = 0
    for one in [*made.train, *made.probe]:
        row = codes[one.id.partition("~")[0]]
        assert row["repo"] == one.group
        assert row["func_name"] in one.prompt and row["docstring"].strip() in one.prompt
        try:
            before, after = ast.parse(row["code"]).body[0], ast.parse(one.response.lstrip()).body[0]
        except SyntaxError:
            continue
        parsed += 1
        assert list(map(ast.dump, before.body[1:])) == list(map(ast.dump, after.body))
        assert ast.dump(before.args) == ast.dump(after.args)
    assert parsed > 0.9 * len(codes)


def test_real_programs_of_sgsm_compile(load):
    made = load("sgsm")
    assert made.report["splits"]["train"]["duplicates"] >= 1800  # SGSM's rows are among EGSM's
    for one in made.train:
        assert "def solution" in one.response
        compile(one.response.lstrip(), one.id, "exec")


def test_real_hellaswag_keeps_no_marker_of_wikihow(load):
    for one in load("hellaswag").probe:
        assert not re.search(r"\[(header|title|step|substeps)\]", one.prompt + one.response)


def test_real_twins_never_straddle_and_hub_rows_keep_them_together(real, tmp_path):
    file = real / "winogrande/train_l.jsonl"
    made = prepare(dataset="winogrande", adapter="winogrande", train_files=[file], probe_samples=301, seed=1)
    assert made.report["splits"]["train"]["held_out"] == 302
    stems = [{one.id.rpartition("-")[0] for one in split} for split in (made.train, made.probe)]
    assert not stems[0] & stems[1]

    rows = [json.loads(line) for line in file.read_text().splitlines()]
    twin = {row["sentence"]: row.pop("qID").rpartition("-")[0] for row in rows}
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = prepare(
        dataset="winogrande", adapter="winogrande", train_files=[tmp_path / "train.jsonl"], probe_samples=301, seed=1
    )
    stems = [{twin[one.prompt.splitlines()[1]] for one in split} for split in (made.train, made.probe)]
    assert not stems[0] & stems[1]


def test_real_winogrande_answers_from_the_file_of_labels(real, tmp_path):
    rows = [json.loads(line) for line in (real / "winogrande/dev.jsonl").read_text().splitlines()]
    unanswered = [{name: value for name, value in row.items() if name != "answer"} for row in rows]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in unanswered))
    (tmp_path / "test-labels.lst").write_text((real / "winogrande/dev-labels.lst").read_text())
    made, expected = (
        prepare(dataset="winogrande", adapter="winogrande", train_files=[file], probe_samples=50, seed=1)
        for file in (tmp_path / "test.jsonl", real / "winogrande/dev.jsonl")
    )
    assert (made.train, made.probe) == (expected.train, expected.probe)


def test_real_mmlu_has_57_subjects_and_domains_select_theirs(real, load):
    assert {tag for one in load("mmlu").train for tag in one.tags} == set(SUBJECTS)
    biology = resolve_options("mmlu", {"domain": "biology"})["subjects"]
    inside, outside = (
        prepare(
            dataset="mmlu", adapter="mmlu", train_files=[real / "mmlu/test"], options=options, probe_samples=1, seed=1
        )
        for options in ({"domain": "biology"}, {"outside_domain": "biology"})
    )
    assert {one.tags[0] for one in [*inside.train, *inside.probe]} == biology
    assert {one.tags[0] for one in [*outside.train, *outside.probe]} == set(SUBJECTS) - biology


def test_real_mmlu_equals_its_hub_form(real):
    file = real / "mmlu/val/virology_val.csv"
    adapter, options = ADAPTERS["mmlu"], resolve_options("mmlu", {})
    from headpatterns.data.records import Row
    from headpatterns.data.sources import read_rows

    raw = [adapter.convert(row, options) for row in read_rows([file], adapter.csv_columns)]
    with file.open(newline="") as cells:
        hub = [
            {"question": row[0], "subject": "virology", "choices": row[1:5], "answer": "ABCD".index(row[5])}
            for row in csv.reader(cells)
        ]
    assert raw == [adapter.convert(Row(fields, Path("val.parquet"), 1, "val"), options) for fields in hub]


@pytest.mark.parametrize(
    ("files", "adapter"), [("arc/ARC-Easy", "hellaswag"), ("gsm8k", "math"), ("mmlu/dev", "gsm8k")]
)
def test_real_files_under_a_foreign_adapter_are_refused(real, files, adapter):
    with pytest.raises(InputError, match=rf"has no field .*its fields are .* the adapter {adapter} reads"):
        prepare(dataset="mixed-up", adapter=adapter, train_files=[real / files], probe_samples=1, seed=1)
