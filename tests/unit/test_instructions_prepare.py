import json
import subprocess
import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

import prepare_instructions
from headpatterns.data.preparation import COLUMNS, parsed_options, prepare, write
from headpatterns.errors import InputError

SCRIPT = Path(prepare_instructions.__file__)


def jsonl(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def sums(start: int, count: int) -> list[dict]:
    return [
        {"question": f"What is {n} + 1?", "answer": f"It is {n + 1}.\n#### {n + 1}"}
        for n in range(start, start + count)
    ]


def choices(count: int, **changed) -> list[dict]:
    return [{"ctx": f"Context {n}", "endings": ["a", "b", "c", "d"], "label": n % 4, **changed} for n in range(count)]


def prepared(train_files, probe_files=(), adapter="gsm8k", **others):
    arguments = {"dataset": "toys", "probe_samples": 5, "seed": 3, **others}
    return prepare(adapter=adapter, train_files=train_files, probe_files=probe_files, **arguments)


def assert_adds_up(report):
    for counts in report["splits"].values():
        parts = ("not_selected", "duplicates", "held_out", "overlapping", "surplus", "kept")
        assert counts["rows_read"] == sum(counts[part] for part in parts) + sum(counts["rejected"].values())


def test_files_of_both_splits(tmp_path):
    train = jsonl(
        tmp_path / "train.jsonl", [*sums(0, 20), *sums(4, 1), *sums(100, 2), {"question": "?", "answer": "5"}]
    )
    probe = jsonl(tmp_path / "test.jsonl", sums(100, 8))
    made = prepared([train], [probe], train_samples=15)
    assert made.report["splits"]["train"] == {
        "rows_read": 24,
        "not_selected": 0,
        "rejected": {"solution without a final answer (####)": 1},
        "duplicates": 1,
        "held_out": 0,
        "overlapping": 2,
        "surplus": 5,
        "kept": 15,
    }
    assert made.report["splits"]["probe"]["surplus"] == 3
    assert (len(made.train), len(made.probe)) == (15, 5)
    assert_adds_up(made.report)
    assert made.train[0].prompt.startswith("Question: What is ")
    names = {one.id: one for one in [*made.train, *made.probe]}
    assert len(names) == 20
    number = int(made.train[0].id.removeprefix("toys-train-"))
    assert made.train[0].answer == str(number)  # row n of train.jsonl asks for n - 1 + 1


def test_files_that_do_not_give_what_is_expected_are_refused(tmp_path):
    rows = jsonl(tmp_path / "all.jsonl", [*sums(0, 30), *sums(0, 2), {"question": "?", "answer": "5"}])
    whole = {"probe_samples": None, "train_samples": 12}
    assert prepared([rows], **whole, expected={"train": 12, "probe": 18}).train == prepared([rows], **whole).train
    assert prepared([rows], **whole, expected={"train": 12, "probe": None}).probe
    with pytest.raises(InputError) as refused:
        prepared([rows], **whole, expected={"train": 12, "probe": 19})
    assert str(refused.value) == (
        "toys gives 12 train and 18 probe instructions, but datasets.toys.expected is 12 and 19 (of 33 training "
        "rows read, 1 rejected and 2 repeated): give the expected files, or set it to null."
    )


def test_the_training_set_is_independent_of_the_number_of_probe_samples(tmp_path):
    train, probe = jsonl(tmp_path / "train.jsonl", sums(0, 30)), jsonl(tmp_path / "test.jsonl", sums(20, 20))
    assert prepared([train], [probe], probe_samples=2).train == prepared([train], [probe], probe_samples=20).train


def test_held_out_groups_and_the_order_of_files(tmp_path):
    rows = [{**row, "source_id": f"doc{n // 4}"} for n, row in enumerate(choices(40))]
    first, second = jsonl(tmp_path / "a.jsonl", rows[:25]), jsonl(tmp_path / "b.jsonl", rows[25:])
    made = prepared([first, second], adapter="hellaswag", probe_samples=6)
    assert made.report["splits"]["train"]["held_out"] == made.report["splits"]["probe"]["rows_read"] == 8
    assert_adds_up(made.report)
    assert not {one.group for one in made.train} & {one.group for one in made.probe}
    assert made == prepared([second, first], adapter="hellaswag", probe_samples=6)
    assert made.probe != prepared([first, second], adapter="hellaswag", probe_samples=6, seed=4).probe


def test_all_rows_beyond_the_training_set_are_held_out(tmp_path):
    rows = jsonl(tmp_path / "all.jsonl", sums(0, 30))
    made = prepared([rows], probe_samples=None, train_samples=12)
    assert (len(made.train), len(made.probe)) == (12, 18)
    assert_adds_up(made.report)
    fewer = prepared([rows], probe_samples=None, train_samples=5)
    assert {one.id for one in fewer.train} < {one.id for one in made.train}


def test_all_rows_of_probe_files_are_taken(tmp_path):
    made = prepared([jsonl(tmp_path / "a.jsonl", sums(0, 9))], [jsonl(tmp_path / "b.jsonl", sums(50, 7))],
                    probe_samples=None)  # fmt: skip
    assert (len(made.train), len(made.probe)) == (9, 7)


def test_a_split_without_any_size_is_refused(tmp_path):
    rows = jsonl(tmp_path / "all.jsonl", sums(0, 30))
    with pytest.raises(InputError, match="neither size is given"):
        prepared([rows], probe_samples=None)
    with pytest.raises(InputError, match="toys has 0 instructions for its probe set"):
        prepared([rows], probe_samples=None, train_samples=30)


def test_files_of_one_name_are_told_apart_by_their_folder(tmp_path):
    for split, start in (("train", 0), ("test", 50)):
        for topic in ("algebra", "geometry"):
            row = {"problem": f"{split} {topic}", "level": "1", "type": topic, "solution": rf"\boxed{{{start}}}"}
            (tmp_path / split / topic).mkdir(parents=True)
            (tmp_path / split / topic / "1.json").write_text(json.dumps(row))
    made = prepared([tmp_path / "train"], [tmp_path / "test"], adapter="math", probe_samples=2)
    assert sorted(one.id for one in made.train) == ["toys-train-algebra-1", "toys-train-geometry-1"]
    assert sorted(one.id for one in made.probe) == ["toys-test-algebra-1", "toys-test-geometry-1"]


def test_written_folder(tmp_path):
    train = jsonl(tmp_path / "train.jsonl", choices(12))
    made = prepared([train], adapter="hellaswag", options={"response": "letter"}, template="<{instruction}>")
    write(made, tmp_path / "out" / "toys")
    assert sorted(path.name for path in (tmp_path / "out" / "toys").iterdir()) == [
        "probe.parquet",
        "report.json",
        "train.parquet",
    ]
    table = pyarrow.parquet.read_table(tmp_path / "out" / "toys" / "train.parquet")
    strings = pyarrow.list_(pyarrow.string())
    types = {name: strings if name in ("tags", "choices") else pyarrow.string() for name in COLUMNS}
    assert table.schema.equals(pyarrow.schema(types))
    row = table.to_pylist()[0]
    assert row["prompt"].startswith("<Which ending") and row["prompt"].endswith("D. d>")
    assert (row["response"], row["choices"], row["tags"]) == (" " + row["answer"], ["a", "b", "c", "d"], [])
    report = json.loads((tmp_path / "out" / "toys" / "report.json").read_text())
    assert report == made.report
    assert (report["template"], report["seed"], report["dataset"]) == ("<{instruction}> {response}", 3, "toys")


@pytest.mark.parametrize(
    ("rows", "others", "sentence"),
    [
        (sums(0, 4), {}, "toys has 4 instructions for its probe set, but 5 are asked for"),
        (sums(0, 5), {}, "toys has no training rows left after 5 instructions are held out"),
        ([], {}, "The training files of toys have no usable row (0 read of "),
        ([{"question": "q"}] * 9, {}, "train.jsonl:1 has no field answer (its fields are question)"),
        ([{"q": "q"}, {"q": "q"}], {}, "train.jsonl:1 has no field answer (its fields are q)"),
        (sums(0, 9), {"adapter": "mathh"}, "There is no adapter mathh: did you mean math?"),
        (sums(0, 9), {"probe_samples": 0}, "toys is asked for 0 probe samples"),
        (sums(0, 9), {"train_samples": 0}, "toys is asked for 0 train samples"),
        (sums(0, 9), {"template": "none"}, "The template 'none' is not a known name"),
    ],
)
def test_what_cannot_be_prepared_is_named_with_the_mend(tmp_path, rows, others, sentence):
    with pytest.raises(InputError) as error:
        prepared([jsonl(tmp_path / "train.jsonl", rows)], **others)
    assert sentence in str(error.value)


def test_a_single_row_without_a_field_is_rejected_and_counted(tmp_path):
    train = jsonl(tmp_path / "train.jsonl", [{"question": "first"}, *sums(0, 12), {"question": "last"}])
    assert prepared([train]).report["splits"]["train"]["rejected"] == {"no field answer": 2}


def test_too_many_rejections_name_the_commonest_reason_and_a_place(tmp_path):
    rows = [*choices(6), *choices(2, label=9), *choices(1, ctx=" ")]
    with pytest.raises(InputError) as error:
        prepared([jsonl(tmp_path / "train.jsonl", rows)], adapter="hellaswag")
    assert "3 of 9 rows of toys were rejected, 2 of them because of: label out of range (first at " in str(error.value)
    assert "train.jsonl:7)" in str(error.value)


def test_rejections_up_to_the_limit_are_reported(tmp_path):
    rows = [*choices(8), *choices(2, label=9)]
    made = prepared([jsonl(tmp_path / "train.jsonl", rows)], adapter="hellaswag")
    assert made.report["splits"]["train"]["rejected"] == {"label out of range": 2}


def test_text_that_is_not_unicode_is_rejected(tmp_path):
    rows = [*sums(0, 12), {"question": "\ud800", "answer": "#### 1"}]
    assert prepared([jsonl(tmp_path / "train.jsonl", rows)]).report["splits"]["train"]["rejected"] == {
        "text is not valid Unicode": 1
    }


GENERIC = {"adapter": "generic", "probe_samples": 1}


@pytest.mark.parametrize(
    ("column", "found", "reason"),
    [
        ("id", "x\ud83d", "text is not valid Unicode"),
        ("tags", ["\udcb2"], "text is not valid Unicode"),
        ("answer", "\udcb2", "text is not valid Unicode"),
        ("choices", ["a", "\udcb2"], "text is not valid Unicode"),
        ("a", float("nan"), "empty a"),
        ("a", [1], "a is not text"),
    ],
)
def test_a_value_that_is_no_text_is_counted_in_every_column(tmp_path, column, found, reason):
    rows = [{"q": f"Q{n}", "a": f"A{n}", "id": str(n), "answer": "A", "tags": [], "choices": []} for n in range(6)]
    rows[2][column] = found
    columns = {"prompt": "q", "response": "a", **{name: name for name in ("id", "answer", "tags", "choices")}}
    done = prepared([jsonl(tmp_path / "train.jsonl", rows)], **GENERIC, options={"columns": columns})
    assert done.report["splits"]["train"]["rejected"] == {reason: 1}


@pytest.mark.parametrize(
    ("row", "options", "advice"),
    [
        ({"task": "T", "result": "R"}, {"style": "alpaca"}, "give the option columns, .* instead of style: alpaca"),
        ({"task": "T", "result": "R"}, {"style": "chat"}, "give the option columns, .* instead of style: chat"),
        ({"messages": []}, {"style": "alpaca"}, "give the option style: chat instead of columns"),
        ({"instruction": "T", "output": "R"}, {"style": "chat"}, "give the option style: alpaca instead"),
        ({"turns": [{"role": "user"}]}, {"style": "chat"}, "rename the field turns to messages"),
        ({"q": "Q"}, {"columns": {"prompt": "q", "response": "a"}}, "name fields that the rows have in the option co"),
        ({f"c{n}": n for n in range(999)}, {"style": "chat"}, r"its fields are c0, c1, .*, c7 and 991 more\)"),
    ],
)
def test_advice_on_a_wrong_schema_can_be_followed(tmp_path, row, options, advice):
    with pytest.raises(InputError, match=advice):
        prepared([jsonl(tmp_path / "train.jsonl", [row] * 4)], **GENERIC, options=options)


def test_rows_not_selected_are_no_rejections_and_an_empty_selection_says_what_there_is(tmp_path):
    def conversation(n, tag):
        turns = [{"from": "human", "value": f"Question {n}"}, {"from": "gpt", "value": "Answer"}]
        return {"conversations": turns, "label": {"cate_ability_en": [tag]}, "langdetect": "en"}

    rows = [conversation(n, "law" if n < 10 else "logic") for n in range(50)]
    train = jsonl(tmp_path / "train.jsonl", rows)
    made = prepared([train], adapter="infinity_instruct", options={"tags": ["law"]})
    assert made.report["splits"]["train"]["not_selected"] == 40
    assert_adds_up(made.report)
    with pytest.raises(InputError) as error:
        prepared([train], adapter="infinity_instruct", options={"tags": ["maths"]})
    assert "None of the 50 training rows of toys is selected" in str(error.value)
    assert "its tags are logic (40 rows); its tags are law (10 rows)" in str(error.value)


def command(tmp_path, *more):
    given = ["--dataset", "toys", "--adapter", "gsm8k", "--probe-samples", "5", "--seed", "1", *more]
    return [sys.executable, str(SCRIPT), "--train-files", str(tmp_path / "train.jsonl"), *given]


def test_the_command_line_writes_the_same_bytes_twice(tmp_path):
    jsonl(tmp_path / "train.jsonl", sums(0, 20))
    contents = []
    for name in ("one", "two"):
        subprocess.run(command(tmp_path, "--output", str(tmp_path / name / "toys")), check=True, capture_output=True)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name / "toys").iterdir()})
    assert contents[0] == contents[1]
    assert contents[0].keys() == {"train.parquet", "probe.parquet", "report.json"}


def test_a_failing_command_line_leaves_an_earlier_result_alone_and_says_why(tmp_path):
    jsonl(tmp_path / "train.jsonl", sums(0, 20))
    output, log = tmp_path / "toys", tmp_path / "log.txt"
    subprocess.run(command(tmp_path, "--output", str(output)), check=True, capture_output=True)
    before = (output / "report.json").read_bytes()
    jsonl(tmp_path / "train.jsonl", [{"q": 1}])
    failed = subprocess.run(command(tmp_path, "--output", str(output), "--log", str(log)), capture_output=True)
    assert failed.returncode == 2
    assert "train.jsonl:1 has no field answer" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert (output / "report.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.txt", "toys", "train.jsonl"]


def test_a_failing_command_line_leaves_no_output(tmp_path):
    jsonl(tmp_path / "train.jsonl", sums(0, 20))
    failed = subprocess.run(
        command(tmp_path, "--output", str(tmp_path / "toys"), "--template", "none"), capture_output=True
    )
    assert failed.returncode == 2
    assert not (tmp_path / "toys").exists()


@pytest.mark.parametrize("text", ["{", "[1]", "'a'"])
def test_options_that_are_no_json_object_are_refused(text):
    with pytest.raises(InputError, match=r"--options .* is not"):
        parsed_options(text)
