"""The whole workflow at the smallest size, run as a user runs it."""

import csv
import hashlib
import html.parser
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from project import snakemake

TINY = ("--configfile", "tests/config/tiny.yaml")
RUN = "checkpoints/llama/nlp.gsm8k.seed0"


@pytest.fixture(scope="module")
def finished(clone) -> Path:
    """A copy of the project in which `all` was built."""
    folder = clone("tiny")
    before = files_of(folder)
    done = snakemake(folder, "all", "--cores", "2", *TINY)
    assert done.returncode == 0, done.stdout
    assert f"report   {folder}/results/tiny/report.html" in done.stdout
    written = {path for path in files_of(folder) - before if path.parts[0] not in {".snakemake", "results"}}
    assert {path for path in written if "__pycache__" not in path.parts} == set()
    return folder


def files_of(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def planned(folder: Path, *arguments: str, config: dict | None = None) -> set[str]:
    """Rules that a dry-run would run; `config` is laid over tiny.yaml."""
    overlays = []
    if config:
        overlay = folder.parent / "overlay.json"
        overlay.write_text(json.dumps(config))
        overlays = [str(overlay)]
    answer = snakemake(folder, *arguments, "-n", *TINY, *overlays)
    assert answer.returncode == 0, answer.stdout
    return set(re.findall(r"^(?:local)?rule (\w+):", answer.stdout, re.MULTILINE))


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_picture_and_table_is_there(finished):
    results = finished / "results/tiny"
    for name in ("figure1", "figure2", "figure2_clustered", "figure4", "figure5"):
        assert (results / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (results / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (results / f"figures/{name}.svg").read_text()
    table = read_csv(results / "tables/table1.csv")
    assert table
    assert "\\toprule" in (results / "tables/table1.tex").read_text()
    assert (results / "tables/table1.md").read_text().count("|") > 10


def test_the_report_is_self_contained(finished):
    page = (finished / "results/tiny/report.html").read_text(encoding="utf-8")
    sources = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            sources.extend(value for name, value in attributes if name == "src" or (tag == "link" and name == "href"))

    Reader().feed(page)
    assert all(source.startswith("data:") for source in sources)
    for word in ("Figure 1", "Figure 2", "Figure 4", "Figure 5", "Table 1", "Llama (tiny)", "transformers"):
        assert word in page


def test_patterns_are_means_of_their_samples(finished):
    folders = [path.parent for path in (finished / "results/tiny/patterns").rglob("step-0.json")]
    assert len(folders) == 7
    for folder in folders:
        for step in (0, 1, 3, 6):
            samples = np.load(folder / f"step-{step}.samples.npy")
            mean = np.load(folder / f"step-{step}.npy")
            assert samples.shape == (8, 2, 4)
            assert samples.dtype == mean.dtype == np.float32
            assert (samples > 0).any()
            np.testing.assert_allclose(mean, samples.astype(np.float64).mean(axis=0), rtol=1e-6)
            about = json.loads((folder / f"step-{step}.json").read_text())
            assert len(about["ids"]) == len(about["losses"]) == 8


def test_step_0_is_the_same_model_for_every_run(finished):
    """Runs on different tasks start from one base model: its loss on a probe set belongs to the probe set."""
    about = json.loads((finished / "results/tiny/patterns/llama/nlp.gsm8k.seed0/gsm8k/step-0.json").read_text())
    assert about["model"] == "results/tiny/pretraining/llama/final"


def test_training_sets_are_cut_to_the_smallest(finished):
    results = finished / "results/tiny"
    for group in ("nlp", "infinity"):
        sets = [read_csv(path) for path in (results / "training_sets/embedded").glob(f"{group}.*.csv")]
        kept = [len(read_csv(results / f"tokenized/embedded/{rows[0]['dataset']}/train/samples.csv")) for rows in sets]
        assert {len(rows) for rows in sets} == {min(kept)}


def test_train_and_probe_never_overlap(finished):
    import pyarrow.parquet

    for folder in (finished / "results/tiny/instructions").iterdir():
        train, probe = (
            pyarrow.parquet.read_table(folder / f"{split}.parquet", columns=["id", "prompt"]).to_pydict()
            for split in ("train", "probe")
        )
        assert not set(train["prompt"]) & set(probe["prompt"])
        assert not set(train["id"]) & set(probe["id"])


def test_intermediate_checkpoints_are_gone_and_the_last_is_kept(finished):
    run = finished / "results/tiny" / RUN
    assert json.loads((run / "run.json").read_text())["steps"] == [1, 3, 6]
    assert (run / "final/model.safetensors").is_file()
    assert not (run / "intermediate").exists()
    assert not run.with_name(run.name + ".unfinished").exists()
    assert [row["step"] for row in read_csv(run / "training.csv")] == [str(step) for step in range(1, 7)]


def test_nothing_is_left_to_do(finished):
    assert planned(finished, "all") == set()


def test_one_figure_is_rebuilt_alone(finished):
    picture = finished / "results/tiny/figures/figure5.pdf"
    before = picture.read_bytes()
    picture.unlink()
    assert planned(finished, "results/tiny/figures/figure5.pdf") == {"draw_figure5"}
    assert snakemake(finished, "results/tiny/figures/figure5.pdf", "--cores", "1", *TINY).returncode == 0
    assert picture.read_bytes() == before


@pytest.mark.parametrize("target", ["table1", "figure1", "figure2", "figure4", "figure5", "report"])
def test_named_targets(finished, target):
    assert planned(finished, target) <= {target}


def test_what_reruns_when_the_config_changes(finished):
    assert planned(finished, "all", config={"analysis": {"resamples": 60}}) >= {"analyse_dynamics", "draw_figure5"}
    assert "extract_patterns" not in planned(finished, "all", config={"analysis": {"resamples": 60}})
    rerun = planned(finished, "all", config={"finetuning": {"learning_rate": 2.0e-3}})
    assert {"finetune", "extract_patterns", "analyse_similarity", "render_report"} <= rerun
    assert not rerun & {"pretrain", "prepare_instructions", "tokenize_instructions"}
    rerun = planned(finished, "all", config={"patterns": {"reduction": "sum_of_abs"}})
    assert "extract_patterns" in rerun


def test_an_added_seed_leaves_the_first_alone(finished):
    (finished.parent / "seeds.json").write_text('{"seeds": [0, 1]}')
    answer = snakemake(finished, "all", "-n", *TINY, str(finished.parent / "seeds.json"))
    assert answer.returncode == 0, answer.stdout
    runs = re.findall(r"output: results/tiny/checkpoints/llama/(\S+)/final", answer.stdout)
    assert len(runs) == 7
    assert all(run.endswith(".seed1") for run in runs)


def test_a_run_may_start_from_an_earlier_run(finished):
    overlay = finished / "two-stage.json"
    source = {"model": "llama", "run": "nlp.gsm8k.seed0"}
    overlay.write_text(json.dumps({"models": {"llama-after-gsm8k": {"label": "two stages", "source": source}},
                                   "studies": {"adaptation": {"models": ["llama-after-gsm8k"]}}}))  # fmt: skip
    patterns = "results/tiny/patterns/llama-after-gsm8k/nlp.arc.seed0/arc"
    answer = snakemake(finished, patterns, "--cores", "1", *TINY, overlay.name)
    assert answer.returncode == 0, answer.stdout
    assert set(re.findall(r"^(?:local)?rule (\w+):", answer.stdout, re.MULTILINE)) == {"finetune", "extract_patterns"}
    about = json.loads((finished / patterns / "step-0.json").read_text())
    assert about["model"] == f"results/tiny/{RUN}/final"
    overlay.unlink()


def test_datasets_that_no_study_selects_can_be_prepared(finished):
    targets = [f"results/tiny/instructions/{name}/train.parquet" for name in ("mathbench", "refgpt", "mmlu")]
    answer = snakemake(finished, *targets, "--cores", "2", *TINY)
    assert answer.returncode == 0, answer.stdout
    for target in targets:
        report = json.loads((finished / target).with_name("report.json").read_text())
        assert report["splits"]["train"]["kept"] > 0
        assert report["splits"]["probe"]["kept"] == 8


def test_unrelated_files_rerun_nothing(finished):
    for file in ("README.md", "workflow_scripts/finetune.py", "workflow_scripts/headpatterns/training.py"):
        os.utime(finished / file)
    assert planned(finished, "all") == set()


def test_snakemakes_own_report(finished):
    answer = snakemake(finished, "--report", "own.html", *TINY)
    assert answer.returncode == 0, answer.stdout
    page = (finished / "own.html").read_text()
    assert "Pearson correlation" in page
    (finished / "own.html").unlink()


def test_the_same_config_gives_the_same_bytes(finished, clone):
    """A second run from nothing, patterns and weights included; what holds times of day is left out."""
    again = clone("again")
    done = snakemake(again, "all", "--cores", "2", *TINY)
    assert done.returncode == 0, done.stdout

    def digests(folder: Path) -> dict[str, str]:
        results = folder / "results/tiny"
        return {
            str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in results.rglob("*")
            if path.suffix in {".safetensors", ".npy", ".parquet", ".arrow", ".svg", ".pdf", ".png", ".tex", ".jsonl"}
            or (path.suffix == ".csv" and path.stem not in {"training", "timings"})
            or path.name == "tokenizer.json"
        }

    first, second = digests(finished), digests(again)
    assert second.keys() <= first.keys()  # other tests have added to the first
    assert len(second) > 100
    assert [name for name in second if first[name] != second[name]] == []
    shutil.rmtree(again)
