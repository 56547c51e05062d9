"""Where the parts of an experiment come from, read from files as the jobs write them."""

import json
import sys

import pytest

from headpatterns import provenance
from headpatterns.report import board, digest, origins, page, views
from headpatterns.report.claims import Shown

HERE = {
    "commit": "aaaa",
    "versions": {"torch": "2.13.0", "numpy": "2.4.6"},
    "processor": "AMD EPYC",
    "cpu_capability": "AVX512",
    "threads": 1,
}
RECIPE = {"learning_rate": 0.004, "seed": 0, "checkpoint_steps": [2], "epochs": 3}


@pytest.fixture
def experiment(tmp_path):
    """Files of two runs of a group and one of another, with patterns, an ablation and the logs of two analyses."""

    def write(path, content):
        path = tmp_path / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    for run, seed in (("nlp.arc.seed0", 0), ("nlp.arc.seed1", 1), ("mixing.target.seed0", 0)):
        recipe = {**RECIPE, "seed": seed, "epochs": 1 if run.startswith("mixing") else 3}
        write(f"checkpoints/llama/{run}/run.json", {**HERE, "recipe": recipe, "device": "cpu"})
        for step in (0, 2):
            about = {**HERE, "reduction": "abs_of_sum", "dtype": "float32", "device": "cpu", "losses": [1.0]}
            write(f"patterns/llama/{run}/arc/step-{step}.json", about)
    write("ablations/llama/nlp.arc.seed0/before.json", {**HERE, "reduction": "abs_of_sum"})
    for name in ("analyse_similarity", "measure_adaptation"):
        write(
            f"logs/{name}.log", f"{json.dumps({key: HERE[key] for key in ('commit', 'versions', 'processor')})}\nmore\n"
        )
    return write


def found(folder):
    runs = sorted(folder.glob("checkpoints/*/*/run.json"))
    measured = {
        origins.PATTERNS: sorted(folder.glob("patterns/*/*/*")),
        origins.ABLATIONS: sorted(folder.glob("ablations/*/*")),
    }
    return list(origins.parts(runs, measured, [*sorted(folder.glob("logs/*.log")), folder / "logs/of_nothing.log"]))


def changed(experiment, folder, path, **more):
    return experiment(path, {**json.loads((folder / path).read_text()), **more})


def test_of_one_place_nothing_is_said(experiment, tmp_path):
    assert len(found(tmp_path)) == 3 + 6 + 1 + 2
    assert origins.mixed(found(tmp_path)) == []
    assert origins.computing(found(tmp_path)) == {"processor": "AMD EPYC", "cpu_capability": "AVX512", "threads": "1"}


def test_another_commit_is_named_with_what_it_made(experiment, tmp_path):
    changed(experiment, tmp_path, "checkpoints/llama/nlp.arc.seed1/run.json", commit="bbbb-dirty")
    experiment("logs/analyse_similarity.log", json.dumps({**HERE, "commit": "bbbb-dirty"}))
    [said] = origins.mixed(found(tmp_path))
    assert said.startswith("The results come from different commits: aaaa (checkpoints/llama/mixing.target.seed0, ")
    assert " and 7 more); bbbb-dirty (checkpoints/llama/nlp.arc.seed1, analyse_similarity)." in said


def test_of_versions_those_are_said_that_differ(experiment, tmp_path):
    path = "patterns/llama/nlp.arc.seed0/arc/step-2.json"
    changed(experiment, tmp_path, path, versions={"torch": "2.14.0", "numpy": "2.4.6"})
    [said] = origins.mixed(found(tmp_path))
    assert "different package versions: torch 2.13.0 (" in said and f"; torch 2.14.0 ({path})." in said
    assert "numpy" not in said


def test_other_machines_are_said(experiment, tmp_path):
    path = "checkpoints/llama/nlp.arc.seed0/run.json"
    changed(experiment, tmp_path, path, processor="Intel Xeon", cpu_capability="AVX2", threads=4)
    said = origins.mixed(found(tmp_path))
    assert len(said) == 3
    assert "different processors: AMD EPYC (" in said[0] and "Intel Xeon (checkpoints/llama/nlp.arc.seed0)" in said[0]
    assert said[1] == (
        "The checkpoints of the group nlp come from different vector instructions of PyTorch: AVX2 "
        "(checkpoints/llama/nlp.arc.seed0); AVX512 (checkpoints/llama/nlp.arc.seed1)."
    )
    assert "different numbers of threads: 1 (" in said[2]


def test_another_config_is_said_by_the_key_that_differs(experiment, tmp_path):
    changed(experiment, tmp_path, "checkpoints/llama/nlp.arc.seed1/run.json", recipe={**RECIPE, "learning_rate": 0.002})
    changed(experiment, tmp_path, "patterns/llama/nlp.arc.seed1/arc/step-0.json", dtype="bfloat16")
    recipes, readings = origins.mixed(found(tmp_path))
    assert "different recipes: learning_rate 0.002 (checkpoints/llama/nlp.arc.seed1); learning_rate 0.004 (" in recipes
    assert "different ways to take patterns: dtype float32 (" in readings and "dtype bfloat16 (patterns/" in readings


def test_page_and_summary_say_it_once_and_nothing_else_does(tmp_path):
    (tmp_path / "provenance.json").write_text(json.dumps({"commit": "aaaa", origins.MIXED: ["From <two> commits."]}))
    provenance = page.provenance_of(tmp_path)
    mixed = page.mixed(provenance)
    assert mixed == ["From <two> commits."]
    assert page.provenance_sections(provenance) == [("", [("commit", "aaaa")])]
    text = digest.digest("mini", Shown([], "", []), [], mixed)
    assert text.startswith("# mini\n\n**Mixed origins.** From <two> commits.\n\n## Claims")
    shown = page.render(
        "page.html.j2", page.__package__, experiment="mini", introduction="", provenance=[], mixed=mixed,
        claims=Shown([], "", []), readings=[], opening=[], sections=[], was_run="",
        board=board.Board([], [], []), views=[], scripts=views.scripts([]),
    )  # fmt: skip
    assert shown.count("Mixed origins.") == 1 and "From &lt;two&gt; commits." in shown
    (tmp_path / "provenance.json").write_text("{}")
    assert page.mixed(page.provenance_of(tmp_path)) == []


def test_pytorch_is_asked_where_it_is_there_and_never_imported(monkeypatch):
    import torch

    about = provenance.environment()
    assert about["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert about["threads"] == torch.get_num_threads() and about["processor"] == provenance.machine()["processor"]
    monkeypatch.delitem(sys.modules, "torch")
    assert provenance.environment().keys() == {"commit", "versions", "platform", "processor"}
    assert "torch" not in sys.modules
