"""The tables of data, runs, tokens and times of an experiment, from files as the other rules write them."""

import csv
import json
import os

import pytest
import scripts

from headpatterns.experiment import jobs
from headpatterns.report import page, summary

ABOUT = {
    "file": "own.Q8_0.gguf",
    "sha256": "0123",
    "architecture": "llama",
    "quantization": "Q8_0",
    "tensors": {"Q8_0": 16, "F32": 5},
    "parameters": 106432,
    "checked_tokens": 16,
}
BENCHMARK = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def experiment(tmp_path):
    instructions = []
    for name, extra in (("gsm8k", {}), ("arc", {"overlapping": 2})):
        splits = {
            "train": {"rows_read": 30, "rejected": {"no answer": 2, "empty": 1}, "kept": 27, **extra},
            "probe": {"rows_read": 8, "rejected": {}, "kept": 8},
        }
        content = json.dumps({"dataset": name, "splits": splits})
        instructions.append(write(tmp_path / "instructions" / name / "report.json", content))
    runs, shards = [], []
    for model, task in (("llama", "gsm8k"), ("llama", "arc"), ("own", "arc")):
        folder = tmp_path / "checkpoints" / model / f"nlp.{task}.seed0"
        write(
            folder / "training.csv",
            "step,epoch,loss,learning_rate,grad_norm,tokens,seconds\n"
            "1,0.5,3.14159265,0,1,100,0.25\n2,1,2.5,0,1,210,0.5\n",
        )
        runs.append(write(folder / "run.json", json.dumps({"identity": "x", "samples": 27, "steps": [1, 2]})))
    for tokenizer, task, cut in (("embedded", "gsm8k", 1), ("embedded", "arc", 2), ("own", "arc", 3)):
        folder = tmp_path / "tokenized" / tokenizer / task / "train"
        write(folder / "report.json", json.dumps({"samples": 27, "kept": 26, "dropped": 1, "truncated": cut}))
        shards.append(folder)
    # Two fine-tunings of the experiment, one that it does not have, and a job that is not done yet.
    first, second, ahead = (
        jobs.Job("finetune", name, f"finetune/{name}.tsv")
        for name in ("llama.mixing_target.seed0", "opt.nlp_sgsm.seed0", "opt.nlp_math.seed0")
    )
    last = jobs.Job("collect_claims", "", "collect_claims.tsv")
    jobs.write(tmp_path / "jobs.csv", [first, second, ahead, last, jobs.Job("all")])
    write(tmp_path / "benchmarks" / "finetune" / "gone.tsv", f"{BENCHMARK}900\t0:15:00\t5\t1\t1\t1\t0\t0\t9\t6\n")
    write(tmp_path / "benchmarks" / first.benchmark, f"{BENCHMARK}90\t0:01:30\t500.5\t1\t1\t1\t0\t0\t99\t60\n")
    write(
        tmp_path / "benchmarks" / second.benchmark,
        f"{BENCHMARK}30\t0:00:30\t700.4\t1\t1\t1\t0\t0\t99\t-\n",
    )
    write(tmp_path / "benchmarks" / "collect_claims.tsv", f"{BENCHMARK}0.01\t0:00:00\t-\t-\t-\t-\t-\t-\t-\t-\n")
    scripts.run(
        "summarise_experiment",
        instructions=instructions,
        runs=runs,
        tokenized=shards,
        converted=[f"own={write(tmp_path / 'models/own/gguf.json', json.dumps(ABOUT))}"],
        jobs=tmp_path / "jobs.csv",
        benchmarks=tmp_path / "benchmarks",
        settings=json.dumps({"experiment": "x", "seeds": [0]}),
        **{f"{name}_output": tmp_path / f"{name}.csv" for name in ("data", "training", "tokens", "timings")},
        provenance_output=tmp_path / "provenance.json",
    )
    return tmp_path


def test_data(experiment):
    rows = read(experiment / "data.csv")
    assert [(row["dataset"], row["split"]) for row in rows] == [
        ("gsm8k", "train"),
        ("gsm8k", "probe"),
        ("arc", "train"),
        ("arc", "probe"),
    ]
    assert [row["rejected"] for row in rows] == ["3", "0", "3", "0"]
    assert [row["overlapping"] for row in rows] == ["0", "0", "2", "0"]
    assert rows[0]["kept"] == "27"


def test_runs(experiment):
    rows = read(experiment / "training.csv")
    assert [(row["model"], row["run"]) for row in rows] == [
        ("llama", "nlp.gsm8k.seed0"),
        ("llama", "nlp.arc.seed0"),
        ("own", "nlp.arc.seed0"),
    ]
    assert rows[0] == {
        "model": "llama",
        "run": "nlp.gsm8k.seed0",
        "samples": "27",
        "steps": "2",
        "tokens": "210",
        "first_loss": "3.1416",
        "last_loss": "2.5",
        "seconds": "0.5",
    }


def test_a_run_on_an_empty_mixture_is_in_the_table(tmp_path):
    folder = tmp_path / "llama" / "mixing.ours-basic.seed0"
    write(folder / "training.csv", "step,epoch,loss,learning_rate,grad_norm,tokens,seconds\n")
    row = summary.training_row(write(folder / "run.json", json.dumps({"samples": 0, "steps": [0]})))
    assert (row["run"], row["samples"], row["steps"], row["last_loss"]) == ("mixing.ours-basic.seed0", 0, 0, "")


def test_tokens(experiment):
    rows = read(experiment / "tokens.csv")
    assert [(row["tokenizer"], row["dataset"], row["truncated"]) for row in rows] == [
        ("embedded", "gsm8k", "1"),
        ("embedded", "arc", "2"),
        ("own", "arc", "3"),
    ]
    assert rows[0]["dropped"] == "1"


def test_timings(experiment):
    rows = read(experiment / "timings.csv")
    assert [row["rule"] for row in rows] == ["finetune", "collect_claims"]
    assert rows[0] == {
        "rule": "finetune",
        "jobs": "2",
        "wall_minutes": "2.0",
        "longest_job_seconds": "90.0",
        "cpu_minutes": "1.0",
        "peak_memory_mb": "700",
    }
    assert rows[1]["peak_memory_mb"] == ""  # too short to be sampled


def test_the_days_of_the_runs(tmp_path):
    assert summary.dates([]) == {}
    for day, name in enumerate(("b", "c", "a")):
        os.utime(write(tmp_path / name, ""), (86400.0 * day, 86400.0 * day))
    found = summary.dates([tmp_path / name for name in "abc"])
    assert found == {"first": "1970-01-01", "last": "1970-01-03"}


def test_provenance(experiment):
    content = json.loads((experiment / "provenance.json").read_text())
    assert content["experiment"] == "x" and content["seeds"] == [0]
    assert content["versions"]["python"].startswith("3.")
    assert {"numpy", "torch", "transformers"} <= content["versions"].keys()
    assert content["commit"] and content["platform"]
    assert content["machine"].keys() == {"processor", "cores", "memory_gb"} and content["machine"]["memory_gb"] > 0
    told = ("file", "architecture", "quantization", "tensors", "sha256")
    assert content["models from GGUF"] == {"own": {key: ABOUT[key] for key in told}}
    (_, pairs) = next(one for one in page.provenance_sections(page.provenance_of(experiment)) if "GGUF" in one[0])
    said = "file own.Q8_0.gguf, architecture llama, quantization Q8_0, tensors Q8_0 16, F32 5, sha256 0123"
    assert pairs == [("own", said)]
