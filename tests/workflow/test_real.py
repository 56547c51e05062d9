"""Real data and a real pretrained model through the whole workflow."""

import csv
import json

import numpy as np
import pytest
from project import snakemake

REAL = ("--configfile", "tests/config/real.yaml")
TASKS = ("math", "gsm8k", "codesearchnet", "sgsm", "hellaswag", "winogrande", "arc")


@pytest.fixture(scope="module")
def results(clone, real, opencompass):
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
        for step in (0, 1, 8, 24):
            samples = np.load(folder / f"step-{step}.samples.npy")
            assert samples.shape[1:] == (5, 8)
            assert np.isfinite(samples).all()
            about = json.loads((folder / f"step-{step}.json").read_text())
            assert len(about["ids"]) == len(samples) == 16 - len(about["skipped"])


def test_few_rows_are_rejected(results):
    rows = read_csv(results / "analysis/data.csv")
    assert {row["dataset"] for row in rows} == {*TASKS, "mmlu"}
    for row in rows:
        assert int(row["rejected"]) <= 0.02 * int(row["rows_read"])


def test_fine_tuning_lowers_the_loss_on_probe_sets(results):
    for task in TASKS:
        folder = results / f"patterns/stories/nlp.{task}.seed0/{task}"
        before, after = (json.loads((folder / f"step-{step}.json").read_text())["losses"] for step in (0, 24))
        assert np.mean(after) < np.mean(before)


def test_all_tables_and_figures_are_there(results):
    for name in ("figure1", "figure2", "figure2_clustered", "figure4", "figure5", "figure_validity"):
        for suffix in ("pdf", "svg", "png"):
            assert (results / f"figures/{name}.{suffix}").stat().st_size > 5000
    statistics = read_csv(results / "analysis/distribution.csv")
    assert {row["task"] for row in statistics} == set(TASKS)
    pairs = [row for row in read_csv(results / "analysis/composition.csv") if row["size"] == "2"]
    assert len(pairs) == 3 * 15
    assert (results / "report.html").is_file()


def test_patterns_are_held_against_ablations_for_every_task(results):
    phases = ("before", "after")
    rows = [row for row in read_csv(results / "analysis/validity.csv") if row["seed"] == "0" and row["phase"] in phases]
    assert {(row["task"], row["phase"]) for row in rows} == {(task, phase) for task in TASKS for phase in phases}
    assert all(-1 <= float(row["value"]) <= 1 for row in rows)
    for task in TASKS:
        folder = results / f"ablations/stories/nlp.{task}.seed0"
        about = json.loads((folder / "after.json").read_text())
        ids, others = about["ids"], about["pattern_ids"]
        assert len(ids) > 4 and len(others) - len(ids) in {0, 1} and not set(ids) & set(others)
        assert np.load(folder / "after.changes.npy").shape == (len(ids), 5, 8)
        assert np.load(folder / "after.patterns.npy").shape == (3, len(others), 5, 8)


def test_selection_on_real_mmlu_from_patterns_to_table_3(results):
    """The model is too small to answer well: the test checks that every step is right, not that selection wins."""
    for domain, subjects in (("maths", 5), ("physics", 3)):
        sizes = {part: len(read_csv(results / f"domains/{domain}/{part}.csv")) for part in ("target", "pool")}
        assert 0.95 * 20 * subjects <= sizes["target"] <= 20 * subjects  # without repeated items
        scores = read_csv(results / f"selections/stories/{domain}.seed0/scores.csv")
        for method in ("pattern", "base-pattern", "nearest", "bm25"):
            ranked = [float(row["score"]) for row in scores if row["method"] == method]
            assert 100 < len(ranked) <= sizes["pool"]
            assert ranked == sorted(ranked, reverse=True)
            assert len(set(ranked)) > 0.9 * len(ranked)
    items = [row for path in (results / "evaluations/stories").glob("*.items.csv") for row in read_csv(path)]
    chosen = [row for row in items if row["set"].startswith("mmlu")]
    assert {row["gold"] for row in chosen} == {"A", "B", "C", "D"}
    assert all(row["answer"] in {"A", "B", "C", "D", ""} for row in chosen)
    assert any(row["parsed"] == "1" for row in chosen)
    competence = read_csv(results / "analysis/competence.csv")
    assert competence and all(row["accuracy"] != "nan" for row in competence)
    table = read_csv(results / "tables/table3.csv")
    assert {row["domain"] for row in table} == {"all", "maths", "physics"}
    for measure in ("accuracy", "nll"):
        assert len([row for row in table if row["domain"] == "all" and row["measure"] == measure]) == 1 + 5
