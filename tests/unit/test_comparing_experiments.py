"""Experiments side by side, from made-up folders: differences of configs, verdicts and tables, and refusals."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml
from project import PROJECT
from refusals import refusal

from headpatterns.experiment import published
from headpatterns.io import sha256
from headpatterns.report import comparison, experiments

CLAIMS = ("claim", "statement", "about", "model", "verdict", "estimate", "low", "high")
TABLE_2 = ("model", "measure", "variant", "items", "value", "low", "high")
CONFIG = {"experiment": "a", "seeds": [0], "finetuning": {"epochs": 1, "max_steps": None}, "resources": {"x": 1}}
ABOUT = {"commit": "abc", "versions": {"headpatterns": "0.11.0", "torch": "2.13.0"}, "processor": "Fast"}


def write_rows(path: Path, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def experiment(folder: Path, config: dict, about: dict, claims: list, table2: list) -> Path:
    write_rows(folder / "analysis/claims.csv", CLAIMS, claims)
    if table2:
        write_rows(folder / "tables/table2.csv", TABLE_2, table2)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "provenance.json").write_text(json.dumps(about))
    return folder


@pytest.fixture
def first(tmp_path):
    claims = [
        ("rises", "It rises.", "", "llama", "holds", 1.5, 1, 2),
        ("falls", "It falls.", "nlp", "", "holds", -1, -2, 0),
    ]
    table2 = [("llama", "accuracy", "base", 24, 0.25, 0.125, 0.5), ("llama", "accuracy", "ours", 24, "", "", "")]
    return experiment(tmp_path / "results/a", CONFIG, ABOUT, claims, table2)


@pytest.fixture
def second(tmp_path):
    config = {
        **CONFIG,
        "experiment": "b",
        "resources": {},
        "finetuning": {"epochs": 2, "max_steps": None, "lora": {"rank": 8}},
    }
    about = {**ABOUT, "commit": "def", "mixed origins": ["The results come from different processors: x; y."]}
    claims = [
        ("rises", "It rises.", "", "opt", "reversed", -0.5, -1, -0.25),
        ("falls", "It falls.", "nlp", "", "holds", -3, -4, -2),
    ]
    return experiment(tmp_path / "published/b", config, about, claims, [])


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))[1:]


def test_what_differs_is_side_by_side(first, second, tmp_path):
    comparison.write([first, second], tmp_path / "out")
    a, b = str(first), str(second)
    assert rows(tmp_path / "out/config.csv") == [
        ["finetuning.epochs", "1", "2"],
        ["finetuning.lora", "(not set)", '{"rank": 8}'],
    ]
    assert rows(tmp_path / "out/verdicts.csv") == [
        ["rises", "", a, "llama", "holds", "1.5", "1", "2"],
        ["rises", "", b, "opt", "reversed", "-0.5", "-1", "-0.25"],
        ["falls", "nlp", a, "all models", "holds", "-1", "-2", "0"],
        ["falls", "nlp", b, "all models", "holds", "-3", "-4", "-2"],
    ]
    assert rows(tmp_path / "out/tables.csv") == [
        ["table2", "accuracy.base", "value", a, "llama", "0.25", "0.125", "0.5"]
    ]
    page, digest = (Path(tmp_path / "out" / name).read_text() for name in ("comparison.html", "comparison.md"))
    for text in (page, digest):
        assert "Of 2 statements that two or more columns have, 1 have the same verdict in all of them." in text
        assert f"The results come from different commits: abc ({a}); def ({b})." in text
        assert f"{b}: The results come from different processors: x; y." in text
        assert "package versions" not in text and "Table 1" not in text and "Table 2" in text
        assert "✗ reversed, −0.5 [−1, −0.25]" in text
        assert text.index("It rises.") < text.index("It falls."), "what differs comes first"
    assert "<script" not in page and "http" not in page.partition("</style>")[2]


def test_experiments_that_are_alike_differ_in_nothing(first, tmp_path):
    shutil.copytree(first, tmp_path / "again")
    comparison.write([first, tmp_path / "again"], tmp_path / "out")
    assert rows(tmp_path / "out/config.csv") == []
    assert "come from different" not in (tmp_path / "out/comparison.md").read_text()


def test_what_is_no_experiment_is_refused(first, second, tmp_path):
    def refused(folders, key, hint):
        with refusal(key, hint):
            comparison.write(folders, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    (tmp_path / "empty").mkdir()
    refused([first], "with=", "two or more folders")
    refused([first, tmp_path / "nowhere"], str(tmp_path / "nowhere"), "fix the path")
    refused([first, tmp_path / "empty"], str(tmp_path / "empty"), ("config.yaml", "in which `all` is complete"))
    refused([first, second, first / "../a"], str(first), "are the same folder: name another one")
    (second / "provenance.json").write_text("[]")
    refused([first, second], f"{second}/provenance.json", "build that experiment again")
    (second / "provenance.json").write_text(json.dumps(ABOUT))
    write_rows(second / "analysis/claims.csv", CLAIMS, [("rises", "It rises.", "", "opt", "holds", "much", 1, 2)])
    refused([first, second], f"{second}/analysis/claims.csv", ("row 1", "'estimate'", "'much'"))
    write_rows(second / "analysis/claims.csv", CLAIMS[:4], [])
    refused([first, second], f"{second}/analysis/claims.csv", ("column verdict", "headpatterns 0.11.0", "build that"))


def test_a_published_experiment_of_another_format_or_with_another_file_is_refused(first, second, tmp_path):
    name = "tables/table2.csv"
    write_rows(second / name, TABLE_2, [])
    manifest = {"format": 1, "headpatterns": "0.11.0", "patterns": published.EVERY_REDUCTION, "files": {}}
    manifest["files"][name] = sha256(second / name)
    (second / published.MANIFEST).write_text(json.dumps(manifest))
    experiments.opened([first, second])
    write_rows(second / name, TABLE_2, [("opt", "accuracy", "base", 1, 1, 1, 1)])
    with refusal(f"{second}/{name}", "changed since it was published"):
        experiments.opened([first, second])
    (second / published.MANIFEST).write_text(json.dumps({**manifest, "format": 2}))
    with refusal(str(second), ("format 2", "publish the experiment again")):
        experiments.opened([first, second])


def test_the_results_that_ship_can_be_compared(tmp_path):
    folders = sorted(path.parent for path in (PROJECT / "published").glob(f"*/{published.MANIFEST}"))
    comparison.write(folders, tmp_path)
    found = {row[0] for row in rows(tmp_path / "tables.csv")}
    assert found >= {"competence", "table1", "similarity_summary"}
    assert len({row[3] for row in rows(tmp_path / "tables.csv")}) == len(folders)
