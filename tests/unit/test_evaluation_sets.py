"""Evaluation sets are checked before any model is trained."""

import csv

import pytest
import scripts
from test_evaluation import TOOLS, choice_rows, write_parquet

from headpatterns.evaluation import sets

OPEN = [
    {"id": f"sum-{n}", "prompt": f"Question: {n} + 1?\nAnswer: ", "response": f"{n + 1}.", "answer": str(n + 1)}
    for n in range(4)
]


def test_items_of_either_kind_are_counted(tmp_path):
    mixed = write_parquet(tmp_path / "mixed.parquet", [*choice_rows(6), *OPEN])
    (tmp_path / "ids.csv").write_text("dataset,id\nx,tool-1\nx,sum-2\n")
    scripts.run("check_evaluation_sets", set=["part", mixed, tmp_path / "ids.csv"], output=tmp_path / "sets.csv")
    with (tmp_path / "sets.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"set": "part", "items": "2", "choice": "1", "open": "1"}]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [*OPEN, {"id": "tale", "prompt": "Tell me.", "response": "No."}],
            "rows.parquet: the item 'tale' has no gold answer",
        ),
        (
            [{**choice_rows(1)[0], "answer": "E"}],
            "the item 'tool-0' has the gold answer 'E', which is not one of its options",
        ),
        ([{**OPEN[0], "prompt": ""}], "the item 'sum-0' has no prompt"),
        ([{**OPEN[0], "response": " "}], "the item 'sum-0' has no response"),
    ],
)
def test_items_that_cannot_be_evaluated_are_named(tmp_path, capfd, monkeypatch, rows, sentence):
    options = {"set": ["x", write_parquet(tmp_path / "rows.parquet", rows)], "output": tmp_path / "sets.csv"}
    assert sentence in scripts.refused(capfd, monkeypatch, "check_evaluation_sets", **options)
    assert not (tmp_path / "sets.csv").exists()


TALES = [{"id": f"tale-{n}", "prompt": "Tell me.", "response": f"Once {n}."} for n in range(3)]
REASONED = [{**row, "response": "It is the ruler, hence B."} for row in choice_rows(2)]
MIXED_FORMS = [choice_rows(2)[0], {**choice_rows(2)[1], "response": "ruler"}]


@pytest.mark.parametrize(
    ("rows", "options", "sentence"),
    [
        (OPEN, {"scored": "x=likelihood"}, "the set 'x' is scored by likelihood, but no item of"),
        (
            OPEN,
            {"scoring": "likelihood"},
            "evaluation.scoring is likelihood, but no evaluated set (x) has an item with",
        ),
        (REASONED, {"scoring": "likelihood"}, "the response of the item 'tool-0' is not the right option in a form"),
        (MIXED_FORMS, {"scored": "x=likelihood"}, "in a form that all items have (letter_and_text, letter, text)"),
        (OPEN, {"shots": 5}, "the set 'x' is asked with 5 examples before each prompt, but"),
        (OPEN, {"shots": -1}, "--shots is -1: give 0 or more"),
        (OPEN, {"scored": "y=likelihood"}, "no set has the name 'y' (valid are x)"),
        (OPEN, {"scored": "x=luck"}, "unknown scoring 'luck': use generate or likelihood"),
        ([*OPEN, *TALES], {"lenient": "x"}, "the item 'tale-0' has no gold answer"),
    ],
)
def test_sets_that_cannot_be_scored_so_are_named(tmp_path, capfd, monkeypatch, rows, options, sentence):
    path = write_parquet(tmp_path / "rows.parquet", rows)
    given = {"set": ["x", path], "examples": f"x={path}", "output": tmp_path / "sets.csv", **options}
    assert sentence in scripts.refused(capfd, monkeypatch, "check_evaluation_sets", **given)
    assert not (tmp_path / "sets.csv").exists()


def test_what_can_be_scored_otherwise_is_counted(tmp_path):
    for number, (rows, options) in enumerate(
        [
            (TALES, {"lenient": "x"}),
            (REASONED, {"scored": "x=generate", "scoring": "likelihood"}),
            ([*choice_rows(2), *OPEN], {"scored": "x=likelihood", "shots": 4}),
        ]
    ):
        path = write_parquet(tmp_path / f"{number}.parquet", rows)
        train = write_parquet(tmp_path / "train.parquet", OPEN)
        given = {"set": ["x", path], "examples": f"x={train}", "output": tmp_path / f"{number}.csv", **options}
        scripts.run("check_evaluation_sets", **given)
        assert (tmp_path / f"{number}.csv").exists()


@pytest.mark.parametrize(
    ("form", "response"), [("{letter}", " C"), ("{text}", "thermometer"), ("{letter}. {text}", "\tC. thermometer ")]
)
def test_options_have_the_form_and_the_blanks_of_the_response(tmp_path, form, response):
    rows = [{**row, "answer": "C", "response": response} for row in choice_rows(2)]
    read = sets.read(write_parquet(tmp_path / "rows.parquet", [*rows, *OPEN]))
    for item in read[:2]:
        assert item.options[2] == item.response == response
        assert [option.strip() for option in item.options] == [
            form.format(letter=letter, text=text) for letter, text in zip("ABCD", TOOLS, strict=True)
        ]
    assert all(item.options == () for item in read[2:])


def lengths(tmp_path, tokenizer_folder, positions):
    tools = write_parquet(tmp_path / "tools.parquet", choice_rows())
    return {
        "set": ["tools", tools],
        "read_by": [tokenizer_folder, positions, "tools"],
        "output": tmp_path / "lengths.csv",
    }


def test_lengths_are_those_of_the_longest_texts(tmp_path, tokenizer, tokenizer_folder):
    scripts.run("check_lengths", **lengths(tmp_path, tokenizer_folder, 50))
    with (tmp_path / "lengths.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    longest = max(len(tokenizer(item["prompt"] + f"{letter}. {text}")["input_ids"])
                  for item in choice_rows() for letter, text in zip("ABCD", TOOLS, strict=True))  # fmt: skip
    assert (row["set"], row["positions"], int(row["longest"]), row["shortened"]) == ("tools", "50", longest, "0")


def test_a_response_that_leaves_no_room_is_named_before_any_training(tmp_path, tokenizer_folder, capfd, monkeypatch):
    line = scripts.refused(capfd, monkeypatch, "check_lengths", **lengths(tmp_path, tokenizer_folder, 4))
    assert "the set 'tools': the gold response of the item 'tool-0', or an option, has" in line
    assert not (tmp_path / "lengths.csv").exists()
