"""Evaluation sets are checked before any model is trained."""

import csv

import pytest
import scripts
from test_evaluation import choice_rows, write_parquet

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
        ([{**choice_rows(1)[0], "answer": "E"}], "the item 'tool-0' has the gold answer 'E', none of its options"),
        ([{**OPEN[0], "prompt": ""}], "the item 'sum-0' has no prompt"),
        ([{**OPEN[0], "response": " "}], "the item 'sum-0' has no response"),
    ],
)
def test_items_that_cannot_be_evaluated_are_named(tmp_path, capfd, monkeypatch, rows, sentence):
    options = {"set": ["x", write_parquet(tmp_path / "rows.parquet", rows)], "output": tmp_path / "sets.csv"}
    assert sentence in scripts.refused(capfd, monkeypatch, "check_evaluation_sets", **options)
    assert not (tmp_path / "sets.csv").exists()
