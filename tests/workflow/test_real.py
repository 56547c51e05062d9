"""Real data and a real pretrained model through the whole workflow."""

import csv
import json

import numpy as np
import pytest
from project import snakemake

REAL = ("--configfile", "tests/config/real.yaml")
TASKS = ("math", "gsm8k", "codesearchnet", "sgsm", "hellaswag", "winogrande", "arc")


@pytest.fixture(scope="module")
def results(clone, real):
    folder = clone("real")
    done = snakemake(folder, "all", "--cores", "2", *REAL, HEADPATTERNS_REAL=str(real))
    assert done.returncode == 0, done.stdout
    return folder / "results/real"


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_task_has_its_patterns(results):
    for task in TASKS:
        folder = results / f"patterns/stories/nlp.{task}.seed0/{task}"
        for step in (0, 1, 2, 4, 8, 16, 24):
            samples = np.load(folder / f"step-{step}.samples.npy")
            assert samples.shape[1:] == (5, 8)
            assert np.isfinite(samples).all()
            about = json.loads((folder / f"step-{step}.json").read_text())
            assert len(about["ids"]) == len(samples) == 32 - len(about["skipped"])


def test_few_rows_are_rejected(results):
    rows = read_csv(results / "analysis/data.csv")
    assert {row["dataset"] for row in rows} == set(TASKS)
    for row in rows:
        assert int(row["rejected"]) <= 0.02 * int(row["rows_read"])


def test_fine_tuning_lowers_the_loss_on_probe_sets(results):
    for task in TASKS:
        folder = results / f"patterns/stories/nlp.{task}.seed0/{task}"
        before, after = (json.loads((folder / f"step-{step}.json").read_text())["losses"] for step in (0, 24))
        assert np.mean(after) < np.mean(before)


def test_all_tables_and_figures_are_there(results):
    for name in ("figure1", "figure2", "figure2_clustered", "figure4", "figure5"):
        for suffix in ("pdf", "svg", "png"):
            assert (results / f"figures/{name}.{suffix}").stat().st_size > 5000
    statistics = read_csv(results / "analysis/distribution.csv")
    assert {row["task"] for row in statistics} == set(TASKS)
    pairs = [row for row in read_csv(results / "analysis/composition.csv") if row["size"] == "2"]
    assert len(pairs) == 15
    assert (results / "report.html").is_file()
