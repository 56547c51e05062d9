"""The first screen of the report: a sentence on what was run, and a cell for every claim and model."""

import analysis_tables
import pandas as pd
import pytest

from headpatterns.presentation.inputs import RunTable, read_run_table
from headpatterns.report import board, claims


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = analysis_tables.write(tmp_path_factory.mktemp("board"))
    return read_run_table(folder / "runs.csv")


def shown(runs):
    folder = runs.path.parent
    return claims.shown(folder / "claims.csv", folder / "claims_left_out.csv", runs, {"table 1": "table1"})


def test_every_claim_has_a_cell_for_each_model_or_one_for_all(runs):
    made = board.of(shown(runs), runs)
    assert made.models == [label for label, *_ in analysis_tables.MODELS.values()]
    rows = {row["claim"]["id"]: row["cells"] for section in made.sections for row in section["rows"]}
    table = pd.read_csv(runs.path.parent / "claims.csv", keep_default_na=False)
    assert set(rows) == set(table["claim"])
    for claim, cells in rows.items():
        found = table[table["claim"] == claim]
        assert sum(len(cell["lines"]) for cell in cells) == len(found)
        if (found["model"] == "").any():
            [cell] = cells
            assert (cell["model"], cell["columns"]) == ("all models", 3)
        else:
            assert [cell["model"] for cell in cells] == made.models
            for model, cell in zip(analysis_tables.MODELS, cells, strict=True):
                verdicts = found[found["model"] == model]["verdict"].str.replace(" ", "-").tolist()
                assert [line["verdict"] for line in cell["lines"]] == verdicts


def test_verdicts_are_counted(runs):
    counts = {one["class"]: (one["count"], one["words"]) for one in board.of(shown(runs), runs).counts}
    assert counts == {
        "holds": (4, "hold"), "reversed": (1, "reversed"), "negligible": (1, "negligible"),
        "undecided": (1, "undecided"), "not-testable": (1, "not testable"),
    }  # fmt: skip


def test_the_power_of_what_is_undecided_is_a_percentage(runs):
    lines = [line for section in shown(runs).sections for claim in section["claims"] for line in claim["lines"]]
    assert {line["verdict"]: line["power"] for line in lines} == {
        "holds": "", "reversed": "", "negligible": "", "undecided": "12 %", "not-testable": ""
    }  # fmt: skip


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.1234, "12 %"), (0.998, "above 99 %"), (0.0099, "below 1 %"), (0, "below 1 %"), (float("nan"), "")],
)
def test_shares_are_percentages(share, text):
    assert claims.percent(share) == text


def test_what_was_run_is_one_sentence(runs):
    begin = "Activation patterns of all heads before and after fine-tuning"
    expected = "Llama_mini & co, Gemma-mini and OPT-mini on 7 tasks with 2 seeds: 42 runs."
    assert board.was_run(runs) == f"{begin} {expected}"
    rows = runs.rows
    fewer = rows[(rows["model"] != rows["model"].iloc[0]) | (rows["task"] == rows["task"].iloc[0])]
    expected = "Llama_mini & co on 1 task with 2 seeds and Gemma-mini and OPT-mini on 7 tasks with 2 seeds: 30 runs."
    assert board.was_run(RunTable(runs.path, fewer)) == f"{begin} {expected}"
    one = RunTable(runs.path, rows.iloc[:1])
    assert board.was_run(one) == f"{begin} Llama_mini & co on 1 task with 1 seed: 1 run."
    nothing = "This experiment compares no run before and after fine-tuning."
    assert board.was_run(RunTable(runs.path, rows.iloc[:0])) == nothing
