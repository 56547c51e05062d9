"""What happens when something is wrong: one sentence, nothing half-done, nothing lost."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from project import PROJECT, snakemake
from refusals import assert_refusal

from headpatterns.training.run_folder import COMPLETE

TINY = ("--configfile", "tests/config/tiny.yaml")


@pytest.mark.parametrize(
    ("overlay", "key", "hint"),
    [
        ({"finetunning": {}}, "finetunning", "did you mean 'finetuning'?"),
        ({"finetuning": {"learningrate": 1}}, "finetuning.learningrate", "did you mean 'learning_rate'?"),
        ({"seeds": "zero"}, "seeds", ("'zero'", "array")),
        ({"studies": {"dynamics": {"models": ["lama"]}}}, "studies.dynamics.models[0]", "unknown model 'lama'"),
        ({"task_groups": {"nlp": {"tasks": ["gsm8", "sgsm"]}}}, "task_groups.nlp.tasks[0]", "did you mean 'gsm8k'"),
        ({"models": {"llama": {"source": {"step": 7}}}}, "models.llama.source.step", ("7", "pretraining.llama keeps")),
    ],
)
def test_a_wrong_config_is_one_sentence(tmp_path, overlay, key, hint):
    file = tmp_path / "overlay.json"
    file.write_text(json.dumps(overlay))
    answer = snakemake(PROJECT, "-n", *TINY, str(file))
    assert answer.returncode != 0
    assert_refusal(answer.stdout, f"config key {key}", hint)


def test_a_key_that_a_file_has_twice_is_one_sentence(tmp_path):
    file = tmp_path / "overlay.yaml"
    file.write_text("finetuning:\n  max_steps: 4\nseeds: [0]\nfinetuning:\n  epochs: 1.0\n")
    answer = snakemake(PROJECT, "-n", *TINY, str(file))
    assert answer.returncode != 0
    assert_refusal(answer.stdout, f"{file}:4", ("finetuning again", "line 1", "keep one of them"))


def test_a_wrong_row_is_named_on_the_terminal(clone, tmp_path):
    folder = clone("wrong-row")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "1 + 1?", "answer": "2\\n#### 2"}\n{"question": broken\n')
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps({"datasets": {"gsm8k": {"train": [{"path": str(rows)}], "probe": []}}}))
    target = "results/tiny/instructions/gsm8k/train.parquet"
    answer = snakemake(folder, target, "--cores", "1", *TINY, str(overlay))
    assert answer.returncode != 0
    assert_refusal(answer.stdout, f"{rows}:2", ("prepare_instructions: ", "not valid JSON", "fix the line"))
    assert not (folder / target).exists()


@pytest.mark.parametrize("options", [("-s", f"{PROJECT}/Snakefile"), ("-s", f"{PROJECT}/Snakefile", "-d", ".")])
def test_another_working_folder_is_one_sentence(tmp_path, options):
    answer = snakemake(tmp_path, "-n", *options, "--configfile", f"{PROJECT}/tests/config/tiny.yaml")
    assert answer.returncode != 0
    assert_refusal(answer.stdout, f"run snakemake in {PROJECT}", "without --directory")


@pytest.mark.parametrize("name", ["rows [v2].jsonl", "rows {v2}.jsonl", "a 'b' #1 %20 & é.jsonl"])
def test_rows_in_a_path_with_other_characters_are_prepared(clone, tmp_path, name):
    folder = clone("odd-names")
    rows = tmp_path / name
    rows.write_text("".join(json.dumps({"question": f"{n} + 1?", "answer": f"#### {n + 1}"}) + "\n" for n in range(40)))
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps({"datasets": {"gsm8k": {"train": [{"path": str(rows)}], "probe": []}}}))
    target = "results/tiny/instructions/gsm8k/train.parquet"
    for said in ("1 of 1 steps", "Nothing to be done"):
        answer = snakemake(folder, target, "--cores", "1", *TINY, str(overlay))
        assert answer.returncode == 0, answer.stdout
        assert said in answer.stdout
    rows.write_text(rows.read_text().replace("#### 9", "####  9"))
    assert "1 of 1 steps" in snakemake(folder, target, "--cores", "1", *TINY, str(overlay)).stdout


def test_a_missing_opencompass_is_said_before_anything_is_computed(clone, tmp_path):
    folder = clone("no-opencompass")
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps({"evaluation": {"python": "nowhere/bin/python"}}))
    answer = snakemake(folder, "table3", "--cores", "1", *TINY, str(overlay))
    assert answer.returncode != 0
    assert_refusal(answer.stdout, "nowhere/bin/python", ("check_opencompass: ", "`make opencompass`"))
    assert not (folder / "results/tiny/raw").exists()


def test_an_evaluation_set_without_gold_answers_is_said_before_any_model_is_trained(clone, tmp_path):
    folder = clone("no-answers")
    overlay = tmp_path / "overlay.json"
    sets = {
        "evaluation": {"sets": {"stories": {"dataset": "refgpt"}}},
        "studies": {"benchmarks": {"sets": ["stories"]}},
    }
    overlay.write_text(json.dumps(sets))
    answer = snakemake(folder, "results/tiny/analysis/scores.csv", "--cores", "1", *TINY, str(overlay))
    assert answer.returncode != 0
    rows = "results/tiny/instructions/refgpt/probe.parquet"
    assert_refusal(answer.stdout, rows, ("the item '", "has no gold answer"))
    assert not (folder / "results/tiny/pretraining").exists()


def builtin_overlay(folder, **benchmarks):
    """Write a config overlay with OpenCompass's ARC and the study of benchmarks; the data of ARC is below `folder`."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    file = folder / "overlay.json"
    evaluation = {"opencompass_data": str(folder), "sets": {"arc-challenge": {"opencompass": "ARC"}}}
    file.write_text(json.dumps({"evaluation": evaluation, "studies": {"benchmarks": benchmarks}}))
    return str(file)


def planned(folder, *arguments):
    """Rules that a dry run would run for all scores."""
    answer = snakemake(folder, "results/tiny/analysis/scores.csv", "-n", *TINY, *arguments)
    assert answer.returncode == 0, answer.stdout
    return set(re.findall(r"^(?:local)?rule (\w+):", answer.stdout, re.MULTILINE))


def test_built_in_sets_are_checked_where_they_are_evaluated(tmp_path):
    with_arc = planned(PROJECT, builtin_overlay(tmp_path, sets=["gsm8k", "arc-challenge"]), "--forceall")
    without = planned(PROJECT, builtin_overlay(tmp_path), "--forceall")
    assert "evaluate" in without
    assert with_arc - without == {"check_builtin_sets"}


def test_missing_data_of_a_built_in_set_are_said_before_any_model_is_trained(clone, opencompass, tmp_path):
    folder = clone("no-data")
    overlay = builtin_overlay(tmp_path, sets=["arc-challenge"])
    answer = snakemake(folder, "results/tiny/analysis/scores.csv", "--cores", "1", *TINY, overlay)
    assert answer.returncode != 0
    expected = f"{tmp_path}/data/ARC/ARC-c/ARC-Challenge-Dev.jsonl"
    assert_refusal(answer.stdout, expected, ("check_builtin_sets: ", "a built-in configuration"))
    assert not (folder / "results/tiny/pretraining").exists()
    assert not (folder / "results/tiny/evaluations").exists()


def test_exchanged_data_of_a_built_in_set_are_evaluated_again(clone, real, opencompass, tmp_path):
    """The set has as many items as before, so the check gives the same result for both."""
    folder = clone("exchanged-data")
    overlay = builtin_overlay(tmp_path, sets=["arc-challenge"], checkpoints=[{"model": "stories", "run": "base"}])
    model = tmp_path / "model.json"
    stories = {"label": "Stories", "source": {"path": str(real / "realmodels/stories260K")}}
    studies = {name: {"models": []} for name in ("competence", "mixing", "selection")}
    model.write_text(json.dumps({"models": {"stories": stories}, "studies": studies}))
    config = (overlay, str(model))

    rows = tmp_path / "data/ARC/ARC-c/ARC-Challenge-Dev.jsonl"
    rows.parent.mkdir(parents=True)
    choices = [{"text": f"{number} moons", "label": label} for number, label in enumerate("ABCD")]
    question = {"question": {"stem": "How many?", "choices": choices}, "answerKey": "B"}
    rows.write_text(json.dumps(question) + "\n")
    answer = snakemake(folder, "results/tiny/analysis/scores.csv", "--cores", "1", *TINY, *config)
    assert answer.returncode == 0, answer.stdout
    assert planned(folder, *config) == set()
    rows.write_text(json.dumps({**question, "answerKey": "C"}) + "\n")
    assert planned(folder, *config) == {"check_builtin_sets", "evaluate", "collect_scores"}


def test_a_killed_workflow_goes_on_where_it_was(clone):
    """SIGKILL in the second of a job's three fine-tunings: the first is kept, and the second resumes from its state."""
    folder = clone("killed")
    longer = folder / "longer.json"
    longer.write_text(json.dumps({"finetuning": {"max_steps": 60, "resume_every": 5}}))
    run = "results/tiny/checkpoints/llama/nlp.{}.seed0"
    target = f"{run.format('codesearchnet')}/final"
    command = [sys.executable, "-m", "snakemake", target, "--cores", "1", *TINY, "longer.json"]
    with (folder.parent / "killed.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    state = folder / f"{run.format('codesearchnet')}.unfinished/state"
    while process.poll() is None and not list(state.glob(f"checkpoint-*/{COMPLETE}")):
        time.sleep(0.02)
    assert process.poll() is None, (folder.parent / "killed.log").read_text()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    trained = (folder / f"{run.format('gsm8k')}.unfinished/run.json").stat().st_ino  # Snakemake touches outputs
    again = snakemake(folder, target, "--cores", "1", *TINY, "longer.json")
    assert again.returncode == 0, again.stdout
    assert "rule pretrain:" not in again.stdout
    assert (folder / run.format("gsm8k") / "run.json").stat().st_ino == trained
    log = (folder / "results/tiny/logs/finetune/llama.nlp_gsm8k_and_2_more.seed0.log").read_text()
    steps = [int(line.split()[1].split("/")[0]) for line in log.splitlines() if line.startswith("step ")]
    assert steps[0] > 1
    assert steps.count(60) == 2
    for task in ("gsm8k", "codesearchnet", "arc"):
        curve = (folder / run.format(task) / "training.csv").read_text().splitlines()
        assert len(curve) == 61
