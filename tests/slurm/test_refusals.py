"""Snakemake refuses what a cluster cannot run before it submits anything."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project import snakemake
from refusals import assert_refusal
from submitting import CONFIG, Submitting


@pytest.fixture
def refused(submitting):
    """Run with changes to the config and the profile, and check that it fails without a job; returns the output."""
    profile = submitting.folder / "slurm/config.yaml"
    before = profile.read_text()

    def run(changes, filled_in, **environment):
        (submitting.folder / "refused.json").write_text(json.dumps({"experiment": "refused", **changes}))
        submitting.fill_in(filled_in)
        earlier = submitting.jobs()
        assert submitting.run("table1", *CONFIG, "refused.json", **environment) != 0
        assert submitting.jobs() == earlier
        assert not (submitting.folder / "results/refused").exists()
        return submitting.said

    yield run
    profile.write_text(before)


@pytest.mark.parametrize(
    ("changes", "filled_in", "key", "hint"),
    [
        (
            {},
            {"gpu_partition: gpu": "gpu_partition: gpux"},
            "`gpu_partition`",
            ("'gpux' for extract_patterns", "name one of cpu, gpu", "slurm/config.yaml"),
        ),
        (
            {"resources": {"extract_patterns": {"gpu": 3}}},
            {},
            "resources.extract_patterns.gpu",
            ("asks for 3 GPUs", "'gpu' have at most 2 GPUs", "lower", "or name another gpu_partition"),
        ),
        (
            {},
            {'gpu_type: ""': "gpu_type: real"},
            "`gpu_type`",
            ("'gpu' has no GPUs of the type 'real'", "it has pretend", "fix"),
        ),
        (
            {"resources": {"finetune": {"runtime": 121}}},
            {},
            "resources.finetune.runtime",
            ("finetune asks for 121 minutes", "'gpu' allows at most 120", "lower"),
        ),
        (
            {"resources": {"pretrain": {"mem_mb": 12001}}},
            {},
            "resources.pretrain.mem_mb",
            ("pretrain asks for 12001 MB", "'cpu' have at most 12000 MB", "lower"),
        ),
        (
            {"resources": {"pretrain": {"threads": 9}}},
            {},
            "resources.pretrain.threads",
            ("pretrain asks for 9 CPUs", "'cpu' have at most 8 CPUs"),
        ),
        (
            {},
            {"slurm-status-command: squeue": "slurm-status-command: sacct"},
            "slurm/config.yaml",
            ("for sacct", "write `slurm-status-command: squeue`"),
        ),
        ({}, {'account: ""': "account: heads"}, "`account`", ("keeps no accounts", "to an empty text")),
    ],
)
def test_what_the_cluster_does_not_have_is_one_sentence(refused, changes, filled_in, key, hint):
    assert_refusal(refused(changes, filled_in), key, hint)


@pytest.fixture
def elsewhere(clone, tmp_path, monkeypatch):
    """A clone on a machine without Slurm. If Slurm is installed here, its commands are still not on the PATH."""
    for command in ("which", "sh", "bash", "cat"):
        (tmp_path / command).symlink_to(Path(shutil.which(command)).resolve())
    monkeypatch.setenv("PATH", str(tmp_path))
    return Submitting(clone("no-slurm"))


def test_a_machine_without_slurm_is_one_sentence(elsewhere):
    assert elsewhere.run("table1", *CONFIG) != 0
    assert_refusal(elsewhere.said, "sbatch", "start Snakemake on a login node")
    assert not (elsewhere.folder / "results").exists()


def test_config_on_the_command_line_does_not_lose_account_and_partitions(elsewhere):
    given = ("--configfile", "tests/config/tiny.yaml", "--config", "experiment=other")
    assert elsewhere.run("table1", *given) != 0
    assert_refusal(elsewhere.said, "slurm/config.yaml", "use --profile slurm, without --config")
    assert not (elsewhere.folder / "results").exists()


def test_the_plan_needs_no_slurm(elsewhere):
    assert elsewhere.run("plan", *CONFIG) == 0, elsewhere.said
    assert (elsewhere.folder / "results/slurm/plan.md").is_file()


WATCHED = """
from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor

shutdown = Executor.shutdown

def watched(executor):
    print("The plugin is waited for.")
    shutdown(executor)

Executor.shutdown = watched
main()
"""
"""Runs Snakemake, and prints a line when it begins to wait for the thread that watches submitted jobs."""


@pytest.mark.parametrize("target", ["plan", "results/slurm/runs.csv"])
def test_what_submits_nothing_does_not_wait_for_the_plugin(elsewhere, target):
    words = ["--profile", "slurm", target, *CONFIG, "--slurm-init-seconds-before-status-checks", "1"]
    command = [sys.executable, "-c", WATCHED, *words]
    answer = subprocess.run(command, cwd=elsewhere.folder, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "SLURM run ID" in answer.stderr
    assert "The plugin is waited for." not in answer.stdout


def test_a_dry_run_shows_what_gpu_jobs_would_ask_for(clone):
    """The dry run needs no Slurm."""
    elsewhere = Submitting(clone("dry-run"))
    assert elsewhere.run("table1", "-n", *CONFIG) == 0
    *_, head, patterns, training = elsewhere.said.splitlines()
    assert head.split() == ["rule", "jobs", "nodes", "GPUs/node", "CPUs/node", "memory/node", "time", "partition"]
    assert patterns.split() == ["extract_patterns", "3", "1", "1", "1", "2.5", "GB", "0:20", "h", "gpu"]
    assert training.split() == ["finetune", "3", "1", "1", "1", "2.5", "GB", "0:20", "h", "gpu"]


def test_several_machines_need_a_cluster(clone):
    folder = clone("one-machine")
    changes = {"finetuning": {"devices": 2, "nodes": 2, "global_batch_size": 8}}
    changes["studies"] = {name: {"models": []} for name in ("mixing", "selection", "trained_heads")}
    (folder / "two.json").write_text(json.dumps(changes))
    answer = snakemake(folder, "table1", "--cores", "1", "--configfile", "tests/config/tiny.yaml", "two.json")
    assert answer.returncode != 0
    assert_refusal(answer.stdout, "finetuning.nodes", ("2", "set it to 1, or use --profile slurm"))
    assert not (folder / "results").exists()


def test_too_few_gpus_for_a_job_are_one_sentence(clone):
    """Otherwise, Snakemake would lower a job's request to the available GPUs, and it would fail after all downloads."""
    folder = clone("one-gpu")
    changes = {"device": "cuda", "finetuning": {"devices": 2, "gradient_accumulation_steps": 1}}
    changes["studies"] = {"trained_heads": {"models": []}}
    (folder / "two.json").write_text(json.dumps(changes))
    config = ("--configfile", "tests/config/tiny.yaml", "two.json")
    answer = snakemake(folder, "table1", "--cores", "1", "--resources", "gpu=1", *config)
    assert answer.returncode != 0
    hint = ("finetune needs 2 GPUs", "`--resources gpu=1`", "raise that number, or lower")
    assert_refusal(answer.stdout, "finetuning.devices", hint)
    assert not (folder / "results").exists()
