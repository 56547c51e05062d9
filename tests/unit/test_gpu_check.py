"""The table of the GPU check, here without a GPU: what it reads, what counts as a failure, and what it writes."""

import importlib
import json

import experiments
import pytest
import torch
from project import PROJECT
from transformers import AutoConfig, AutoModelForCausalLM

ATTRIBUTION = """\
procedure,status,error,seconds,samples_per_second,tokens_per_second,times_unrecorded,times_faster_than_published,peak_gib,\
bf16_share
abs_of_sum,measured,{error},2,40.5,6000,1.25,30,3.5,
published,out of memory,,,,,,,,
"""
FINETUNING = """\
trainer,padding_free,status,seconds,tokens_per_second,ratio,peak_gib,bf16_share
transformers,False,measured,8,1000,1,20,0.25
pytorch,True,failed,,,,,
"""


@pytest.fixture
def outcomes(monkeypatch):
    for folder in ("benchmarks", "tests/gpu"):
        monkeypatch.syspath_prepend(PROJECT / folder)
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
    assert summary(rows[:6]) == [
        ("abs_of_sum: seconds", "measured", 2),
        ("abs_of_sum: samples per second", "measured", 40.5),
        ("abs_of_sum: tokens per second", "measured", 6000),
        ("abs_of_sum: times unrecorded", "measured", 1.25),
        ("abs_of_sum: times faster than published", "measured", 30),
        ("abs_of_sum: peak gib", "measured", 3.5),
    ]
    assert rows[6].outcome == outcome
    # The authors' procedure may run out of memory, and ours may not.
    assert (rows[7].outcome, rows[7].note) == ("skipped", "out of memory")
    assert outcomes.failed(rows) == (outcome == "failed")
    path.write_text(path.read_text().replace("\npublished", "\nsum_of_abs"))
    assert outcomes.attribution_rows("attribution", path, 1e-3)[7].outcome == "failed"


def test_a_trainer_that_failed_is_a_failure(outcomes, tmp_path):
    path = tmp_path / "finetuning.csv"
    path.write_text(FINETUNING)
    rows = outcomes.finetuning_rows("finetuning", path)
    assert summary(rows) == [
        ("transformers: seconds", "measured", 8),
        ("transformers: tokens per second", "measured", 1000),
        ("transformers: ratio", "measured", 1),
        ("transformers: peak gib", "measured", 20),
        ("transformers: bf16 share", "measured", 0.25),
        ("pytorch, padding-free", "failed", None),
    ]
    assert not outcomes.failed(rows[:5])
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
    text = outcomes.write(tmp_path / "made", {"machine": "one GPU", "free GB": 140}, rows)
    assert text == (tmp_path / "made/check.md").read_text()
    assert text.splitlines() == [
        "## one GPU",
        "",
        "- free GB: 140",
        "- 1 passed, 1 failed, 0 skipped, 1 measured",
        "",
        "| part | what | outcome | value | limit | unit | note |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| kernels | half | failed |  | 1e-05 |  | sinks, nan |",
        "| kernels | fused \\| eager | passed | 2e-07 | 1e-05 |  |  |",
        "| kernels | fused | measured | 0.123 |  | ms |  |",
    ]
    # NaN is not valid JSON.
    written = json.loads((tmp_path / "made" / outcomes.TABLE).read_text(), parse_constant=pytest.fail)
    assert written["machine"] == "one GPU"
    assert written["counts"] == {"passed": 1, "failed": 1, "skipped": 0, "measured": 1}
    assert [row["value"] for row in written["rows"]] == [0.123456, 2e-7, None]


def test_shares_of_the_peak_are_also_those_of_the_measured_one(outcomes, tmp_path):
    path = tmp_path / "finetuning.csv"
    path.write_text(FINETUNING)
    rows = outcomes.finetuning_rows("finetuning", path)
    reached = outcomes.Row("kernels", f"{outcomes.PRODUCTS}: bf16 share", outcomes.MEASURED, 0.5, unit=outcomes.SHARE)
    assert outcomes.of_measured_peak(rows) == []
    found = outcomes.of_measured_peak([reached, *rows])
    assert summary(found) == [("transformers: bf16 share, of the measured peak", "measured", 0.5)]


def test_what_fewer_layers_say_of_all_is_scaled_by_operations(outcomes, tmp_path):
    check = importlib.import_module("check")
    shape = check.common.ARCHITECTURES[check.SHAPE]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**{**shape, "num_hidden_layers": 3}))
    matrices = {id(one): one.numel() for one in model.parameters() if one.dim() == 2}
    assert check.multiplied(check.SHAPE, 3) == sum(matrices.values()) - model.get_input_embeddings().weight.numel()
    path = tmp_path / "finetuning/finetuning.csv"
    path.parent.mkdir()
    path.write_text(FINETUNING)
    part = check.finetuning(check.parser().parse_args([]), tmp_path, check.SHAPE)
    assert part.name == "finetuning llama-3-8b, 8 layers"
    estimate = part.rows()[-1]
    assert (estimate.what, estimate.note) == ("transformers: tokens per second, 32 layers", "scaled by operations")
    assert estimate.value == pytest.approx(1000 * (8 * 218.1 + 525.3) / (32 * 218.1 + 525.3), rel=1e-3)


def test_the_benchmarks_have_the_shape_that_fits(outcomes):
    check = importlib.import_module("check")
    assert [check.architecture(False, free) for free in (139, 60, 40)] == ["llama-3-8b", "llama-3-8b", "llama-3.2-1b"]
    assert check.architecture(True, 0) == "small"


@pytest.mark.slow
def test_another_attention_than_eager_fails(outcomes, monkeypatch):
    """An architecture passes in both dtypes; it fails if the reference has another window or the model is refused."""
    architectures = importlib.import_module("architectures")
    for dtype in (torch.float32, torch.bfloat16):
        rows = architectures.compared("mistral-sliding-window", dtype, "cpu")
        assert [row.outcome for row in rows] == ["passed", "passed"]
        assert all(row.value > 0 for row in rows)
    textbook = architectures.textbook

    def widened(model, samples):
        model.config.sliding_window = 8
        return textbook(model, samples)

    monkeypatch.setattr(architectures, "textbook", widened)
    rows = architectures.compared("mistral-sliding-window", torch.float32, "cpu")
    assert [row.outcome for row in rows] == ["failed", "failed"]
    [row] = architectures.compared("laguna-heads-by-layer", torch.float32, "cpu")
    assert row.outcome == "failed"
    assert row.note.startswith("layer 1 of LagunaForCausalLM has 4 query heads, but its config says 6")
    assert len(architectures.NAMES) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("name", ["halving", "devices"])
def test_what_needs_a_process_of_its_own(outcomes, tmp_path, name):
    check = importlib.import_module("check")
    arguments = check.parser().parse_args(["--device", "cpu", "--small"])
    [part] = [part for part in check.scripts(arguments, tmp_path) if part.name == name]
    rows = check.run(part, 600, check.environment(arguments, str(tmp_path)), tmp_path)
    assert [row.outcome for row in rows] == ["passed"] * len(rows), (tmp_path / f"{name}.log").read_text()
    assert len(rows) >= 3


def test_what_is_not_installed_is_skipped(outcomes, tmp_path):
    check = importlib.import_module("check")
    part = check.Part("none", ["-c", ""], 9, list, needs="no_such_module")
    assert summary(check.run(part, 60, {}, tmp_path)) == [("ended", "skipped", None)]


def test_its_experiment_is_one_that_the_workflow_takes():
    experiment = experiments.checked(experiments.config_of("tests/config/tiny.yaml", "tests/gpu/cuda.yaml"))
    assert experiment.config.device == "cuda"


def test_all_parts_together_have_their_time(outcomes, tmp_path):
    check = importlib.import_module("check")
    arguments = check.parser().parse_args([])
    parts = [*check.scripts(arguments, tmp_path), check.experiment(arguments, tmp_path, tmp_path)]
    parts += [make(arguments, tmp_path, check.SHAPE) for make in (check.attribution, check.finetuning)]
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
