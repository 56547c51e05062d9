"""The plan counts the jobs that Snakemake runs, and a full disk stops a run before it starts."""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest
from project import snakemake

TINY = "tests/config/tiny.yaml"


@pytest.fixture(scope="module")
def project(clone) -> Path:
    folder = clone("plan")
    for name in (
        "codesearchnet/python/final/jsonl/train",
        "codesearchnet/python/final/jsonl/test",
        "infinity_instruct",
    ):
        (folder / "data" / name).mkdir(parents=True)
    for name in ("primary/cloze_cn", "middle/single_choice_cn"):
        path = folder / f"data/mathbench_v1/{name}.jsonl"
        path.parent.mkdir(parents=True)
        path.touch()
    for name in ("sgsm/rows.json", "refgpt/rows.json"):
        (folder / "data" / name).parent.mkdir()
        (folder / "data" / name).touch()
    (folder / "seeds.yaml").write_text("seeds: [0, 1, 2]\n")
    (folder / "other.yaml").write_text(
        "models: {after: {label: two stages, source: {model: gemma, run: nlp.gsm8k.seed3}}}\n"
        "studies:\n"
        "  adaptation: {models: [after]}\n"
        "  mixing: {models: []}\n"
        "  benchmarks: {checkpoints: [{model: opt, run: infinity.infinity-law.seed7}], sets: [gsm8k]}\n"
        "evaluation: {sets: {gsm8k: {dataset: gsm8k}}}\n"
    )
    return folder


@pytest.mark.parametrize(
    ("experiment", "overlays"),
    [
        ("mini", []),
        ("mini", ["other.yaml"]),
        ("tiny", [TINY]),
        ("paper", ["config/paper.yaml"]),
        ("paper", ["config/paper.yaml", "seeds.yaml"]),
    ],
)
def test_as_many_jobs_as_snakemake_runs(project, experiment, overlays):
    chosen = ["--configfile", *overlays] if overlays else []
    environment = {"HEADPATTERNS_DATA": str(project / "data")}
    answer = snakemake(project, "all", "-n", "--quiet", "rules", *chosen, **environment)
    assert answer.returncode == 0, answer.stdout
    counts = dict(re.findall(r"^([\w-]+) +(\d+)$", answer.stdout, re.MULTILINE))
    total = int(counts.pop("total"))
    rules = Counter()
    for name, count in counts.items():
        rules[re.sub(r"^(finetune|extract_patterns)_.*", r"\1", name)] += int(count)
    answer = snakemake(project, "plan", "--cores", "1", *chosen, **environment)
    assert answer.returncode == 0, answer.stdout
    assert f"# Plan of the experiment {experiment}" in answer.stdout
    with (project / f"results/{experiment}/plan.csv").open(newline="", encoding="utf-8") as file:
        planned = {row["rule"]: int(row["jobs"]) for row in csv.DictReader(file)}
    (project / f"results/{experiment}/config.yaml").unlink()  # else the next dry-run would not count its job
    assert planned == rules
    assert sum(planned.values()) == total


def test_a_full_disk_stops_a_run_before_it_starts(project):
    (project / "many.yaml").write_text("experiment: large\nplan: {parallel_jobs: 1000000000}\n")
    chosen = ["--configfile", TINY, "many.yaml"]
    answer = snakemake(project, "all", "--cores", "1", *chosen)
    assert answer.returncode != 0
    assert re.search(r"^the jobs to run need up to .*TB of disk, but /", answer.stdout, re.MULTILINE), answer.stdout
    assert "Traceback" not in answer.stdout
    assert not (project / "results/large").exists()
    assert snakemake(project, "all", "-n", *chosen).returncode == 0
    assert snakemake(project, "results/large/runs.csv", "--cores", "1", *chosen).returncode == 0
