"""The table of the check on a GPU, which nothing here runs: what it reads, what it calls a failure, what it writes."""

import importlib
import json

import experiments
import pytest
from project import PROJECT

ATTRIBUTION = """\
procedure,status,error,samples_per_second,times_unrecorded,times_faster_than_published,peak_gib,bf16_share
abs_of_sum,measured,{error},40.5,1.25,30,3.5,
published,out of memory,,,,,,
"""
FINETUNING = """\
trainer,padding_free,status,tokens_per_second,ratio,peak_gib,bf16_share
transformers,False,measured,1000,1,20,0.25
pytorch,True,failed,,,,
"""


@pytest.fixture
def outcomes(monkeypatch):
    monkeypatch.syspath_prepend(PROJECT / "tests/gpu")
    return importlib.import_module("outcomes")


def summary(rows):
    return [(row.what, row.outcome, row.value) for row in rows]


@pytest.mark.parametrize(
    ("error", "outcome"), [("0.0005", "passed"), ("0.002", "failed"), ("nan", "failed"), ("", "failed")]
)
def test_errors_of_attribution_are_held_against_the_tolerance(outcomes, tmp_path, error, outcome):
    path = tmp_path / "attribution.csv"
    path.write_text(ATTRIBUTION.format(error=error))
    rows = outcomes.attribution_rows("attribution", path, 1e-3)
    assert summary(rows[:4]) == [
        ("abs_of_sum: samples per second", "measured", 40.5),
        ("abs_of_sum: times unrecorded", "measured", 1.25),
        ("abs_of_sum: times faster than published", "measured", 30),
        ("abs_of_sum: peak gib", "measured", 3.5),
    ]
    assert rows[4].outcome == outcome
    # The authors' procedure may run out of memory, and ours may not.
    assert (rows[5].outcome, rows[5].note) == ("skipped", "out of memory")
    assert outcomes.failed(rows) == (outcome == "failed")
    path.write_text(path.read_text().replace("\npublished", "\nsum_of_abs"))
    assert outcomes.attribution_rows("attribution", path, 1e-3)[5].outcome == "failed"


def test_a_trainer_that_failed_is_a_failure(outcomes, tmp_path):
    path = tmp_path / "finetuning.csv"
    path.write_text(FINETUNING)
    rows = outcomes.finetuning_rows("finetuning", path)
    assert summary(rows) == [
        ("transformers: tokens per second", "measured", 1000),
        ("transformers: ratio", "measured", 1),
        ("transformers: peak gib", "measured", 20),
        ("transformers: bf16 share", "measured", 0.25),
        ("pytorch, padding-free", "failed", None),
    ]
    assert not outcomes.failed(rows[:4])
    assert outcomes.failed(rows)
    assert outcomes.failed([])


def test_the_table_is_written_twice_and_read_again(outcomes, tmp_path):
    rows = [
        outcomes.Row("kernels", "fused", outcomes.MEASURED, 0.123456, unit="ms"),
        outcomes.held("kernels", "fused | eager", 2e-7, 1e-5),
        outcomes.held("kernels", "half", float("nan"), 1e-5, note="sinks"),
    ]
    outcomes.write_rows(tmp_path / "kernels.json", rows)
    assert outcomes.script_rows("kernels", tmp_path / "kernels.json") == rows
    text = outcomes.write(tmp_path / "made", {"machine": "one GPU"}, rows)
    assert text == (tmp_path / "made/check.md").read_text()
    assert text.splitlines() == [
        "- machine: one GPU",
        "- 1 passed, 1 failed, 0 skipped, 1 measured",
        "",
        "| part | what | outcome | value | limit | unit | note |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| kernels | half | failed |  | 1e-05 |  | sinks, nan |",
        "| kernels | fused \\| eager | passed | 2e-07 | 1e-05 |  |  |",
        "| kernels | fused | measured | 0.123 |  | ms |  |",
    ]
    # NaN is no JSON.
    written = json.loads((tmp_path / "made" / outcomes.TABLE).read_text(), parse_constant=pytest.fail)
    assert written["machine"] == "one GPU"
    assert written["counts"] == {"passed": 1, "failed": 1, "skipped": 0, "measured": 1}
    assert [row["value"] for row in written["rows"]] == [0.123456, 2e-7, None]


def test_its_experiment_is_one_that_the_workflow_takes():
    experiment = experiments.checked(experiments.config_of("tests/config/tiny.yaml", "tests/gpu/cuda.yaml"))
    assert experiment.config.device == "cuda"


def test_all_parts_together_have_their_time(outcomes, tmp_path):
    check = importlib.import_module("check")
    arguments = check.parser().parse_args([])
    parts = [*check.benchmarks(arguments, tmp_path), *check.scripts(arguments, tmp_path)]
    parts.append(check.experiment(arguments, tmp_path, tmp_path))
    assert sum(part.share for part in parts) == check.ALTOGETHER
    assert check.ALTOGETHER + check.GRACE < 8 * 60


def test_a_part_that_is_stopped_or_writes_nothing_has_failed(outcomes, tmp_path):
    check = importlib.import_module("check")
    nothing = check.Part("none", ["-c", ""], 9, lambda: outcomes.script_rows("none", tmp_path / "none.json"))
    [row] = check.run(nothing, 60, {}, tmp_path)
    assert row.outcome == "failed"
    assert row.note.startswith("its results cannot be read")
    [row] = check.run(nothing._replace(command=["-c", "import time; time.sleep(60)"]), check.GRACE + 0.2, {}, tmp_path)
    assert (row.outcome, row.note) == ("failed", "longer than 0 s")
    assert row.value < 30
