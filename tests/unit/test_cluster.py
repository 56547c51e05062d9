"""What rules ask a cluster for, and how sinfo is read."""

from types import SimpleNamespace

import pytest
import yaml
from project import PROJECT

import cluster


@pytest.fixture
def config():
    """The embedded experiment with GPUs, on a cluster."""
    made = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))
    made["device"] = "cuda"
    made["resources"]["extract_patterns"]["gpu"] = 1
    made["cluster"] |= {"account": "heads", "cpu_partition": "cpu", "gpu_partition": "gpu", "gpu_type": ""}
    return made


def asked(config, rule, group=None):
    """Resources at the first attempt."""
    found = cluster.resources(config, rule, group)
    return {name: value({}, attempt=1) if callable(value) else value for name, value in found.items()}


def test_a_rule_without_gpus_goes_to_the_other_partition(config):
    want = {"mem_mb": 2000, "runtime": 20, "slurm_account": "heads", "slurm_partition": "cpu"}
    assert asked(config, "tokenize_instructions") == want


def test_without_a_cluster_nothing_but_sizes_is_asked_for(config):
    config["cluster"] = dict.fromkeys(config["cluster"], None) | {"gpus_as": "gpu"}
    assert not cluster.configured(config)
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


def test_several_machines_ask_by_the_machine(config):
    config["finetuning"] |= {"devices": 8, "nodes": 2}
    found = asked(config, "finetune", "nlp")
    assert {"gres": "gpu:4", "nodes": 2, "tasks": 2, "tasks_per_gpu": 0}.items() <= found.items()
    assert "gpu" not in found


def test_an_application_may_train_on_fewer(config):
    config["finetuning"]["devices"] = 8
    config["studies"]["selection"]["finetuning"]["devices"] = 2
    assert cluster.gpus(config, "finetune", "selection") == 2
    assert cluster.gpus(config, "finetune", "nlp") == 8


def test_a_retry_asks_for_more_but_not_for_what_no_machine_has(config, monkeypatch):
    there = [cluster.Machines("gpu", False, 100, 5000, 8, {"": 1}, 1)]
    monkeypatch.setattr(cluster, "machines", lambda: there)
    found = cluster.resources(config, "extract_patterns")
    assert [found["mem_mb"]({}, attempt=attempt) for attempt in (1, 2, 3)] == [3000, 5000, 5000]
    assert [found["runtime"]({}, attempt=attempt) for attempt in (1, 2)] == [60, 100]


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
    assert cluster._machines(*row.split("|")) == want


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
    requests = cluster.Counter(cluster.Request.of(one, config) for one in [*gpu_jobs, *others])
    _, _, *rows = cluster.table(requests).splitlines()
    assert [row.split() for row in rows] == [
        ["finetune", "2", "1", "8", "4", "64.5", "GB", "1:15", "h", "gpu"],
        ["finetune", "1", "2", "4", "a100", "4", "64.5", "GB", "1:15", "h", "gpu"],
    ]
