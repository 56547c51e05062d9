"""What rules get only by their name: logs, benchmarks, environments, threads and resources."""

import re
from importlib.metadata import version

import pytest
from project import PROJECT, snakemake

TINY = ("--configfile", "tests/config/tiny.yaml")

VERSIONS = {"snakemake": "9.27.1", "snakemake-executor-plugin-slurm": "2.8.0"}
"""The versions on whose undocumented code rules/internals.smk and rules/slurm.smk depend."""


@pytest.fixture(scope="module")
def jobs():
    """Every job of `all` on tiny.yaml in the output of a dry run: its rule and its description."""
    answer = snakemake(PROJECT, "all", "--dry-run", "--forceall", "--printshellcmds", *TINY)
    assert answer.returncode == 0, answer.stdout
    parts = re.split(r"^(?:local)?rule ([\w-]+):\n", answer.stdout, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def fields(text):
    return dict(re.findall(r"^    (\w+): (.*)$", text, re.MULTILINE))


def test_the_versions_are_those_that_the_defaults_belong_to():
    found = {name: version(name) for name in VERSIONS}
    assert found == VERSIONS, "see that internals.smk and slurm.smk in rules/ still work, then name these versions here"
    assert {f"{name}=={found[name]}" for name in found} <= {*(PROJECT / "envs/workflow.txt").read_text().splitlines()}


def test_logs_and_benchmarks_are_named_after_the_rule_and_its_wildcards(jobs):
    found = {rule: fields(text) for rule, text in jobs}
    root = "results/tiny"
    seed = re.escape("seed0")
    for rule, stem in {
        "generate_raw_data": "generate_raw_data/[a-z_0-9]+",
        "tokenize_instructions": r"tokenize_instructions/embedded\.[\w-]+\.(train|probe)",
        "cut_training_set": rf"cut_training_set/embedded\.[\w-]+\.[\w-]+\.{seed}",
        "finetune_nlp_refgpt": rf"finetune/llama(-weak)?\.nlp_refgpt\.{seed}",
        "extract_patterns_nlp_refgpt": rf"extract_patterns/llama(-weak)?\.nlp_refgpt\.{seed}",
        "mix_basic_tasks": rf"mix_basic_tasks/llama(-weak)?\.{seed}",
        "split_domain": r"split_domain/(physics|biology)",
        "select_samples": rf"select_samples/llama\.(physics|biology)\.{seed}",
        "evaluate": rf"evaluate/llama(-weak)?\.[a-z]+\.{seed}\.\d+",
        "draw_figure2": "draw_figure2",
        "render_report": "render_report",
    }.items():
        assert re.fullmatch(rf"{root}/logs/{stem}\.log", found[rule]["log"]), (rule, found[rule]["log"])
        assert re.fullmatch(rf"{root}/benchmarks/{stem}\.tsv", found[rule]["benchmark"]), rule
    assert "benchmark" not in found["write_run_table"] and found["write_run_table"]["log"].endswith(
        "write_run_table.log"
    )


def test_every_job_with_a_command_writes_to_its_log(jobs):
    commands = [(rule, text) for rule, text in jobs if "workflow_scripts/" in text]
    assert len(commands) > 60
    for rule, text in commands:
        assert f"--log {fields(text)['log']}" in text, rule


def test_resources_follow_from_the_config(jobs, tmp_path):
    resources = {rule: fields(text).get("resources", "") for rule, text in jobs}
    assert "mem_mb=2000" in resources["analyse_distribution"] and "runtime=20" in resources["analyse_distribution"]
    assert "mem_mb=3000" in resources["finetune_nlp_refgpt"] and "runs_on_disk=1" in resources["finetune_nlp_refgpt"]
    overlay = tmp_path / "threads.yaml"
    overlay.write_text("resources: {analyse_dynamics: {threads: 2, mem_mb: 4321}}\ntensorboard: true\n")
    answer = snakemake(PROJECT, "figure5", "-n", "--forceall", "--cores", "2", *TINY, str(overlay))
    part = answer.stdout.split("rule analyse_dynamics:")[1].split("\nrule ")[0]
    assert fields(part)["threads"] == "2" and "mem_mb=4321" in fields(part)["resources"]
    watched = "launcher=env HEADPATTERNS_TENSORBOARD=results/tiny/logs/tensorboard python,"
    assert watched in answer.stdout and "launcher=python," in resources["finetune_nlp_refgpt"]


def test_a_misspelt_rule_in_resources_is_named_with_the_nearest(tmp_path):
    overlay = tmp_path / "rule.yaml"
    overlay.write_text("resources: {finetun: {threads: 2}, evaluat: {threads: 2}}\n")
    answer = snakemake(PROJECT, "-n", *TINY, str(overlay))
    assert answer.returncode != 0 and "Traceback" not in answer.stdout
    for wrong, right in (("finetun", "finetune"), ("evaluat", "evaluate")):
        assert f"resources.{wrong} names the unknown rule '{wrong}'; did you mean '{right}'?" in answer.stdout


def test_what_a_study_that_is_left_out_would_ask_for_may_stay_in_the_config(tmp_path):
    overlay = tmp_path / "left-out.yaml"
    overlay.write_text(
        "studies: {validity: {models: []}, head_scores: {models: []}, transplant: {models: []}, "
        "trained_heads: {models: []}}\n"
        "resources: {ablate_heads: {mem_mb: 3000}}\n"
    )
    answer = snakemake(PROJECT, "-n", "--quiet", *TINY, str(overlay))
    assert answer.returncode == 0, answer.stdout
