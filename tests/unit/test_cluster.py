"""What rules request from a cluster, how Slurm's answers are read, and which requests are refused."""

import shlex
from collections import Counter
from types import SimpleNamespace

import pytest
from project import config_in, snakemake
from refusals import assert_refusal, refusal

from headpatterns.cluster import refusals, requests
from headpatterns.cluster import resources as cluster
from headpatterns.cluster import site as slurm
from headpatterns.errors import InputError
from headpatterns.experiment.experiment import Experiment
from headpatterns.studies import load_studies


@pytest.fixture
def config():
    """The embedded experiment with GPUs, on a cluster."""
    made = config_in("config.yaml")
    made["device"] = "cuda"
    made["resources"]["extract_patterns"]["gpu"] = 1
    made["cluster"] |= {"account": "heads", "cpu_partition": "cpu", "gpu_partition": "gpu", "gpu_type": ""}
    return made


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Write Slurm commands that print given answers with given exit statuses; the PATH has no other commands."""
    monkeypatch.setenv("PATH", str(tmp_path))
    slurm.machines.cache_clear()

    def write(**answers):
        for name, (said, status) in answers.items():
            command = tmp_path / name
            stream = "1>&2" if status else ""
            command.write_text(f"#!/bin/sh\nprintf '%s\\n' {shlex.quote(said)} {stream}\nexit {status}\n")
            command.chmod(0o755)

    write(
        sbatch=("", 0),
        scontrol=("AccountingStorageType   = accounting_storage/slurmdbd", 0),
        sinfo=(
            "cpu*|infinite|64000|8|(null)|12\ngpu|2-00:00:00|500000|64|gpu:a100:8(S:0-1)|2\ntest|30:00|99000|64|gpu:2|1",
            0,
        ),
        sacctmgr=("maths\nheads\nheads", 0),
    )
    yield write
    slurm.machines.cache_clear()


@pytest.fixture
def refused(site, config):
    """A function that returns the sentence for a refused request."""

    def said(**changes):
        with pytest.raises(InputError) as error:
            check([request(**changes)], config, "sacct")
        return str(error.value)

    return said


def request(**changes):
    """The request of a fine-tuning; every cluster of these tests can fulfil it."""
    usual = {"rule": "finetune", "group": "nlp", "partition": "gpu", "account": "heads", "nodes": 1, "gpus": 1}
    return usual | {"gpu_type": "", "cpus": 1, "mem_mb": 3000, "runtime": 20} | changes


def made(config, group, **values):
    """A request for the runs of a group, with their settings from the config."""
    settings = cluster.settings(meaning(config), values["rule"], group, values["nodes"])
    return requests.Request(**values, settings=settings)


def meaning(config):
    """The experiment that a config describes."""
    return Experiment(config, load_studies())


def check(asked, config, status_command):
    refusals.check([made(config, **one) for one in asked], meaning(config).config.cluster.configured, status_command)


def check_without(asked, config, here):
    refusals.check_without([made(config, **one) for one in asked], here)


def asked(config, rule, group=None):
    """The resources of a rule at the first attempt."""
    found = cluster.resources(meaning(config), rule, group)
    return {name: value({}, attempt=1) if callable(value) else value for name, value in found.items()}


def test_a_rule_without_gpus_goes_to_the_other_partition(config):
    want = {"mem_mb": 2000, "runtime": 20, "slurm_account": "heads", "slurm_partition": "cpu"}
    assert asked(config, "tokenize_instructions") == want


def test_without_a_cluster_nothing_but_sizes_is_asked_for(config):
    config["cluster"] = dict.fromkeys(config["cluster"], None) | {"gpus_as": "gpu"}
    assert not meaning(config).config.cluster.configured
    assert asked(config, "tokenize_instructions") == {"mem_mb": 2000, "runtime": 20}
    assert asked(config, "extract_patterns") == {"mem_mb": 3000, "runtime": 60, "gpu": 1, "nodes": 1}


def test_a_fine_tuning_asks_for_a_gpu_for_each_process_of_a_machine(config):
    config["finetuning"]["devices"] = 8
    found = asked(config, "finetune", "nlp")
    assert (found["gpu"], found["nodes"]) == (8, 1)
    assert "gres" not in found
    config["cluster"] |= {"gpu_type": "a100"}
    assert asked(config, "finetune", "nlp")["gpu_model"] == "a100"
    config["cluster"] |= {"gpus_as": "gres"}
    assert asked(config, "finetune", "nlp")["gres"] == "gpu:a100:8"
    assert "gpu" not in asked(config, "finetune", "nlp")


def test_what_computes_on_a_gpu_has_one_whether_or_not_resources_say_so(config):
    config["resources"]["evaluate"] = {"gpu": 2}
    rules = ("pretrain", "extract_patterns", "evaluate", "tokenize_instructions")
    del config["resources"]["extract_patterns"]["gpu"]
    assert [cluster.gpus(meaning(config), rule) for rule in rules] == [1, 1, 2, 0]
    assert asked(config, "pretrain")["slurm_partition"] == "gpu"
    config["device"] = "cpu"
    assert [cluster.gpus(meaning(config), rule) for rule in rules] == [0, 0, 2, 0]


def test_a_process_for_each_gpu_shares_an_extraction_and_a_processor_has_one(config):
    config["resources"]["extract_patterns"]["gpu"] = 2
    assert cluster.sharing(meaning(config)) == 2
    config["device"] = "cpu"
    assert cluster.sharing(meaning(config)) == 1


def test_the_command_of_an_extraction_on_several_gpus_starts_as_many_processes(clone, tmp_path):
    (tmp_path / "gpus.yaml").write_text("device: cuda\nresources: {extract_patterns: {gpu: 2}}\n")
    configs = ("--configfile", "tests/config/tiny.yaml", str(tmp_path / "gpus.yaml"))
    answer = snakemake(clone("gpus"), "table1", "-n", "-p", "--cores", "2", *configs)
    assert answer.returncode == 0, answer.stdout
    commands = [line for line in answer.stdout.splitlines() if "extract_patterns.py" in line]
    started = "take_gpus.py --count 2 -- python workflow_scripts/launch.py --standalone --nproc-per-node 2 "
    assert commands
    assert all(f"{started}workflow_scripts/extract_patterns.py --devices 2 " in command for command in commands)


def test_several_machines_ask_by_the_machine(config):
    config["finetuning"] |= {"devices": 8, "nodes": 2}
    found = asked(config, "finetune", "nlp")
    assert {"gres": "gpu:4", "nodes": 2, "tasks": 2, "tasks_per_gpu": 0}.items() <= found.items()
    assert "gpu" not in found


def test_an_application_may_train_on_fewer(config):
    config["finetuning"]["devices"] = 8
    config["studies"]["selection"]["finetuning"]["devices"] = 2
    assert cluster.gpus(meaning(config), "finetune", "selection") == 2
    assert cluster.gpus(meaning(config), "finetune", "nlp") == 8


def test_a_retry_asks_for_more_but_not_for_what_no_machine_has(config, monkeypatch):
    there = [slurm.Machines("gpu", False, 100, 5000, 8, {"": 1}, 1)]
    monkeypatch.setattr(slurm, "machines", lambda: there)
    found = cluster.resources(meaning(config), "extract_patterns")
    assert [found["mem_mb"]({}, attempt=attempt) for attempt in (1, 2, 3)] == [3000, 5000, 5000]
    assert [found["runtime"]({}, attempt=attempt) for attempt in (1, 2)] == [60, 100]


def test_a_retry_grows_up_to_what_one_of_several_partitions_has(config, site):
    config["cluster"] |= {"gpu_partition": "test, gpu"}
    config["resources"]["finetune"] = {"mem_mb": 200000, "runtime": 2000}
    found = cluster.resources(meaning(config), "finetune", "nlp")
    assert [found["mem_mb"]({}, attempt=attempt) for attempt in (1, 2, 3)] == [200000, 400000, 500000]
    assert [found["runtime"]({}, attempt=attempt) for attempt in (2, 3)] == [2880, 2880]


def test_a_retry_may_ask_for_more_of_one_thing_alone(config, site):
    def times(wildcards, attempt, resource):
        return attempt if resource == "runtime" else 1

    found = cluster.resources(meaning(config), "extract_patterns", None, times)
    assert [found["mem_mb"]({}, attempt=attempt) for attempt in (1, 2, 3)] == [3000, 3000, 3000]
    assert [found["runtime"]({}, attempt=attempt) for attempt in (1, 2, 3)] == [60, 120, 180]


def test_a_retry_without_sinfo_grows_freely(config, site, tmp_path):
    (tmp_path / "sinfo").unlink()
    assert cluster.resources(meaning(config), "pretrain")["runtime"]({}, attempt=3) == 180


@pytest.mark.parametrize(
    ("said", "want"),
    [("accounting_storage/slurmdbd", True), ("accounting_storage/none", False), ("none", False), ("(null)", False)],
)
def test_whether_a_site_keeps_accounts(said, want):
    settings = f"AccountingStorageHost   = none\nAccountingStorageType   = {said}\nAccountingStorageUser   = N/A\n"
    assert slurm.keeps_accounts(settings) is want


def test_an_account_of_the_user_is_taken(site, config):
    check([request(), request(account="Maths")], config, "sacct")


def test_another_account_is_one_sentence_with_the_user_s_own(refused):
    hint = ("'tails'", "fix `account` in slurm/config.yaml", "yours are heads, maths")
    assert_refusal(refused(account="tails"), "`account`", hint)


def test_no_account_is_one_sentence(site, refused):
    hint = "set `account` in slurm/config.yaml"
    assert_refusal(refused(account=""), "`account`", (hint, "yours are heads, maths"))
    site(sacctmgr=("sacctmgr: error: Access denied", 1))
    said = refused(account="")
    assert_refusal(said, "`account`", hint)
    assert "yours" not in said


def test_an_account_is_left_to_sbatch_where_sacctmgr_does_not_tell(site, config, tmp_path):
    site(sacctmgr=("sacctmgr: error: Access denied", 1))
    check([request(account="tails")], config, "sacct")
    (tmp_path / "sacctmgr").unlink()
    check([request(account="tails")], config, "sacct")


def test_without_accounts_none_may_be_named(site, config, refused):
    site(scontrol=("AccountingStorageType   = (null)", 0))
    assert_refusal(refused(), "sacct", "write `slurm-status-command: squeue`")
    with refusal("`account`", ("keeps no accounts", "set `account`", "empty")):
        check([request()], config, "squeue")
    check([request(account="")], config, "squeue")


def test_a_config_without_a_cluster_is_one_sentence(config, refused):
    config["cluster"] = dict.fromkeys(config["cluster"], None) | {"gpus_as": "gpu"}
    assert_refusal(refused(), "slurm/config.yaml", "use --profile slurm, without --config")


@pytest.mark.parametrize(
    ("changes", "key", "hint"),
    [
        (
            {"gpus": 9},
            "finetuning.devices",
            ("finetune asks for 9 GPUs", "'gpu' have at most 8 GPUs", "or name another gpu_partition in slurm/config"),
        ),
        (
            {"gpus": 9, "gpu_type": "a100", "nodes": 2, "group": "mixing"},
            "studies.mixing.finetuning.devices",
            ("finetune asks for 9 a100 GPUs", "'gpu' have at most 8 a100 GPUs", "finetuning.devices per node"),
        ),
        ({"nodes": 3}, "finetuning.nodes", ("finetune asks for 3 nodes", "'gpu' has 2", "lower")),
        ({"nodes": 3, "group": "mixing"}, "studies.mixing.finetuning.nodes", ("'gpu' has 2", "lower")),
        (
            {"partition": "gpu,test", "runtime": 3000},
            "resources.finetune.runtime",
            ("finetune asks for 3000 minutes", "'gpu' allows at most 2880"),
        ),
        ({"partition": "gpu,tset"}, "`gpu_partition`", ("'tset' for finetune", "name one of cpu, gpu, test")),
        (
            {"partition": "", "rule": "evaluate", "group": ""},
            "resources.evaluate.gpu",
            ("evaluate asks for 1 GPU", "'cpu' have at most 0 GPUs", "lower"),
        ),
    ],
)
def test_what_no_machine_has_is_one_sentence(config, refused, changes, key, hint):
    config["studies"]["mixing"]["finetuning"] |= {"devices": 1, "nodes": 1}
    assert_refusal(refused(**changes), key, hint)


def test_only_the_machines_with_the_rest_count(site, refused):
    site(sinfo=("gpu|infinite|64000|8|gpu:2|1\ngpu|infinite|9000|16|gpu:8|1\ngpu|infinite|99000|4|(null)|1", 0))
    memory = "with 2 GPUs have at most 64000 MB of memory"
    assert_refusal(refused(gpus=2, mem_mb=70000), "resources.finetune.mem_mb", ("'gpu'", memory))
    processors = "with 2 GPUs and 10000 MB of memory have at most 8 CPUs"
    assert_refusal(refused(gpus=2, mem_mb=10000, cpus=9), "resources.finetune.threads", ("'gpu'", processors))


def test_one_of_several_partitions_is_enough(site, config):
    check([request(partition="test,gpu", cpus=60, mem_mb=400000)], config, "sacct")


def test_fewer_gpus_than_a_job_needs_are_one_sentence(config):
    config["finetuning"]["devices"] = 8
    check_without([request(gpus=8)], config, 8)
    needs = "finetune needs 8 GPUs"
    with refusal("finetuning.devices", (needs, "`--resources gpu=1`", "raise that number, or lower")):
        check_without([request(gpus=8), request(gpus=1)], config, 8)
    with refusal("finetuning.devices", (needs, "this machine shows 7", "use --profile slurm, or lower")):
        check_without([request(gpus=8)], config, 7)


def test_a_machine_without_gpus_is_one_sentence(config):
    evaluation = request(rule="evaluate", group="")
    with refusal("evaluate", ("1 GPU", "this machine shows 0", "use --profile slurm")):
        check_without([evaluation], config, 0)
    check_without([evaluation | {"rule": "collect_scores", "gpus": 0}], config, 0)


def test_several_machines_without_a_cluster_are_one_sentence(config):
    config["studies"]["mixing"]["finetuning"] |= {"devices": 2, "nodes": 2}
    with refusal("studies.mixing.finetuning.nodes", ("2", "set it to 1, or use --profile slurm")):
        check_without([request(group="mixing", nodes=2)], config, 2)


@pytest.mark.parametrize(
    ("row", "want"),
    [
        ("cpu*|infinite|64000|8|(null)|12", ("cpu", True, None, 64000, 8, {}, 12)),
        ("gpu|2-00:00:00|1000|64|gpu:a100:8(S:0-1)|2", ("gpu", False, 2880, 1000, 64, {"a100": 8}, 2)),
        ("gpu|30:00|1000|64|gpu:2|1", ("gpu", False, 30, 1000, 64, {"": 2}, 1)),
        ("g|1:30:00|9|4|gpu:h100:2(S:0,3),gpu:v100:4,nvme:1|1", ("g", False, 90, 9, 4, {"h100": 2, "v100": 4}, 1)),
    ],
)
def test_what_sinfo_tells_is_read(row, want):
    assert slurm.parsed(row) == want


def test_the_table_tells_gpu_jobs_apart_by_what_they_ask_for(config):
    config["resources"]["finetune"] = {"threads": 4, "mem_mb": 64500, "runtime": 75}

    def job(name, **resources):
        return SimpleNamespace(rule=SimpleNamespace(name=name), resources=resources)

    gpu_jobs = [
        job(f"finetune_{name}", gpu=8, nodes=1, mem_mb=64500, runtime=75, slurm_partition="gpu") for name in ("a", "b")
    ]
    others = [
        job("finetune_c", gres="gpu:a100:4", nodes=2, mem_mb=64500, runtime=75, slurm_partition="gpu"),
        job("tokenize_instructions", mem_mb=1000, runtime=5),
    ]
    counted = Counter(
        cluster.request(meaning(config), one, group)
        for one, group in zip([*gpu_jobs, *others], ("nlp", "mixing", "nlp", ""), strict=True)
    )
    _, _, *rows = requests.table(counted).splitlines()
    assert [row.split() for row in rows] == [
        ["finetune", "2", "1", "8", "4", "64.5", "GB", "1:15", "h", "gpu"],
        ["finetune", "1", "2", "4", "a100", "4", "64.5", "GB", "1:15", "h", "gpu"],
    ]
