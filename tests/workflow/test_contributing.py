"""Follows each recipe that CONTRIBUTING.md links to, in a copy of the project with the files of tests/contributing.

Each test lists the files that differ from the project afterwards; the recipe states their number.
"""

import csv
import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pattern_files
import pytest
from project import PROJECT, snakemake
from refusals import assert_refusal

from headpatterns.experiment import run_table

CONTRIBUTED = PROJECT / "tests/contributing"
PACKAGE = Path("workflow_scripts/headpatterns")
NOT_SOURCES = re.compile(r"\.git|\.venv.*|\.snakemake|__pycache__|.*\.egg-info|\..*_cache|results|site|\.coverage.*")
NUMBERS = ("value", "low", "high")


def put(project: Path, files: dict[str, Path]) -> None:
    """Copy files of tests/contributing to their places in a copy of the project."""
    for name, place in files.items():
        (project / place).parent.mkdir(exist_ok=True)
        shutil.copy(CONTRIBUTED / name, project / place)


def insert(file: Path, place: str, text: str) -> None:
    """Insert `text` before the only occurrence of `place` in a file."""
    found = file.read_text(encoding="utf-8")
    assert found.count(place) == 1
    file.write_text(found.replace(place, text + place), encoding="utf-8")


def touched(project: Path) -> set[str]:
    """Files of a copy that are new or differ from the project, without files that programs leave behind."""
    found = set()
    for folder, folders, names in os.walk(project):
        folders[:] = [name for name in folders if not NOT_SOURCES.fullmatch(name)]
        for path in (Path(folder, name).relative_to(project) for name in names if not NOT_SOURCES.fullmatch(name)):
            if not (PROJECT / path).exists() or not filecmp.cmp(project / path, PROJECT / path, shallow=False):
                found.add(str(path))
    return found


def call(project: Path, script: str, *words: str, **json_options: Any) -> None:
    """Run a command line of a copy of the project, as its rules do."""
    options = [word for name, value in json_options.items() for word in (f"--{name}", json.dumps(value, default=str))]
    command = [sys.executable, f"workflow_scripts/{script}.py", *words, *options]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def pass_tests(project: Path, *files: str) -> None:
    """Check that the tests in some files of a copy pass unchanged: none of them lists what the recipe has added."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:xdist",
               f"--basetemp={project.parent / 'tests'}"]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run([*command, *files], cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def planned(output: str) -> dict[str, str]:
    """The description of each job in the output of a dry run, by rule."""
    parts = re.split(r"^(?:local)?rule ([\w-]+):\n", output, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def write_patterns(results: Path, study: str) -> Path:
    """Write a run table with the patterns of two models on two tasks.

    Before fine-tuning, the mean level of every head is 1. After fine-tuning, it is 1 in layer 0 and 3 in layer 1. As an
    exception, it is 0 in layer 1 for the model `small` on the task `arc`. Samples have 0.5 to 1.5 times the mean level.
    """
    of_samples = np.float32([0.5, 0.75, 1, 1.25, 1.5])[:, None, None]
    rows = []
    for model in ("big", "small"):
        for task in ("gsm8k", "arc"):
            folder = results / f"patterns/{model}/nlp.{task}.seed0/{task}"
            before = np.ones((5, 2, 3), np.float32)
            after = before.copy()
            after[:, 1] = 0 if (model, task) == ("small", "arc") else 3
            pattern_files.save(folder, 0, before * of_samples)
            pattern_files.save(folder, 9, after * of_samples)
            rows.append((study, "nlp", model, model.title(), task, task.upper(), "", "basic", 0, f"nlp.{task}.seed0",
                         folder))  # fmt: skip
    table = results / "runs.csv"
    pd.DataFrame(rows, columns=run_table.COLUMNS).to_csv(table, index=False)
    return table


def judged(project: Path, results: Path, name: str, runs: Path, settings: dict[str, Any]) -> list[dict[str, str]]:
    """The claims about the effects of a recipe, measured and judged by the command lines of a copy of the project."""
    table = results / f"analysis/{name}_effects.csv"
    call(project, "measure", name, "--output", str(table), inputs={"runs": runs}, settings=settings)
    claims, left_out = (results / f"analysis/{name}.csv" for name in ("claims", "claims_left_out"))
    outputs = ("--output", str(claims), "--left-out-output", str(left_out))
    command = [sys.executable, "workflow_scripts/collect_claims.py", "--effects", f"{name}={table}"]
    done = subprocess.run([*command, *outputs], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "left out:" in done.stderr  # all claims about the paper's own numbers
    return rows_of(claims)


def write_what_every_report_shows(results: Path) -> None:
    for name in ("data", "tokens", "training", "timings"):
        (results / f"analysis/{name}.csv").write_text("name,number\nany,1\n")
    (results / "provenance.json").write_text('{"seeds": [0]}')


def test_a_dataset_is_an_adapter_and_its_entry_in_a_config(clone, tmp_path):
    project = clone("dataset")
    put(project, {"dataset/quiz.py": PACKAGE / "data/adapters/quiz.py", "dataset/quiz.yaml": Path("my.yaml")})
    assert touched(project) == {str(PACKAGE / "data/adapters/quiz.py"), "my.yaml"}  # 2 files

    train = [{"language": "en", "ask": f"What is {i} and {i}?", "tell": 2 * i} for i in range(6)]
    train += [
        {"language": "de", "ask": "Welche Farbe hat Mohn?", "tell": "Rot"},
        {"language": "en", "ask": "?", "tell": " "},
    ]
    test = [{"language": "en", "question": f"What is {i} times 3?", "tell": 3 * i} for i in range(9)]
    for name, rows in {"train": train, "test": test}.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = "results/tiny/instructions/quiz/train.parquet"
    chosen = ("--configfile", "tests/config/tiny.yaml", "my.yaml")
    done = snakemake(project, made, "--cores", "1", *chosen, QUIZ=str(tmp_path))
    assert done.returncode == 0, done.stdout

    found = pd.read_parquet(project / made)
    assert set(zip(found["prompt"], found["response"], found["answer"], strict=True)) == {
        (f"Question: What is {i} and {i}?\nAnswer:", f" {2 * i}", str(2 * i)) for i in range(6)
    }
    counts = json.loads((project / made).with_name("report.json").read_text())["splits"]
    assert (counts["train"]["not_selected"], counts["train"]["rejected"]) == (1, {"empty tell": 1})
    assert counts["probe"]["kept"] == 8  # as in all probe sets of tiny.yaml

    pass_tests(project, "tests/unit/test_instructions_adapters.py")
    planned_rules = planned(snakemake(project, "figure1", "-n", *chosen, QUIZ=str(tmp_path)).stdout)
    assert "nlp.quiz.seed0" in planned_rules["analyse_distribution"]


FIGURE = {
    "figure/layers.py": PACKAGE / "studies/adaptation/layers.py",
    "figure/figure_layers.py": PACKAGE / "studies/adaptation/figure_layers.py",
    "figure/layers.rst": PACKAGE / "studies/adaptation/layers.rst",
    "figure/effects_layers.py": PACKAGE / "studies/adaptation/effects_layers.py",
}
DESCRIPTION = {
    "    ),\n    drawings=(": """        Analysis(
            name="layers",
            compute="headpatterns.studies.adaptation.layers:compute",
            inputs=run_table(),
            outputs={"layers": "layers"},
            settings=bootstrap,
            needs=patterns(settings.runs),
        ),
""",
    "    ),\n    tables=(": """        Drawing(
            name="layers",
            draw="headpatterns.studies.adaptation.figure_layers:figures",
            inputs=run_table(layers="layers"),
            figures=("layers",),
        ),
""",
    "    ),\n    section=": """        Effects(
            name="layers",
            measure="headpatterns.studies.adaptation.effects_layers:measure",
            inputs=run_table(),
            settings=bootstrap,
            needs=patterns(settings.runs),
            read=("reduction", "normalisation", "weighting"),
            measures=("last_minus_first_layer",),
        ),
""",
    '"figure2": ("figure2",)}': '"figure_layers": ("layers",), ',
}


def test_a_figure_is_its_numbers_picture_caption_and_claims(clone, tmp_path):
    project = clone("figure")
    put(project, FIGURE)
    description = project / PACKAGE / "studies/adaptation/__init__.py"
    for place, text in DESCRIPTION.items():
        insert(description, place, text)
    registry = description.with_name("claims.yaml")
    with registry.open("a", encoding="utf-8") as file:
        file.write((CONTRIBUTED / "figure/claims_layers.yaml").read_text(encoding="utf-8"))
    changed = {str(path.relative_to(project)) for path in (description, registry)}
    assert touched(project) == {*map(str, FIGURE.values()), *changed}  # 6 files

    answer = snakemake(project, "figure_layers", "-n", "--configfile", "tests/config/tiny.yaml")
    assert answer.returncode == 0, answer.stdout
    jobs = planned(answer.stdout)
    assert "results/tiny/patterns/llama/nlp.arc.seed0/arc" in jobs["analyse_layers"]
    assert "output: results/tiny/analysis/layers.csv" in jobs["analyse_layers"]
    assert "input: results/tiny/runs.csv, results/tiny/analysis/layers.csv" in jobs["draw_layers"]
    assert "results/tiny/figures/layers.pdf" in jobs["draw_layers"]

    runs, table = write_patterns(tmp_path, "adaptation"), tmp_path / "analysis/layers.csv"
    settings = {"resamples": 20, "seed": 0}
    call(project, "analyse", "layers", inputs={"runs": runs}, outputs={"layers": table}, settings=settings)
    found = {(row["model"], row["state"], row["layer"]): row for row in rows_of(table)}
    changes = {("big", "0"): "0", ("big", "1"): "2", ("small", "0"): "0", ("small", "1"): "0.5"}
    for (model, layer), change in changes.items():  # (2 - 1) / 2 for the model small
        value, low, high = (found[model, "change", layer][name] for name in NUMBERS)
        assert value == change and float(low) <= float(value) <= float(high)
    given = {"inputs": {"runs": runs, "layers": table}}
    call(project, "draw", "layers", "--output", str(tmp_path / "figures"), **given)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"layers.pdf", "layers.svg", "layers.png"}
    [big, small] = judged(project, tmp_path, "layers", runs, settings)
    assert big["claim"] == "last_layer_rises_more" and (big["plain"], big["verdict"]) == ("2", "holds")
    assert (small["plain"], small["verdict"]) == ("0.5", "holds") and big["reason"] == "without seed variance"
    pass_tests(project, "tests/unit/test_reporting.py")


STUDY = {
    f"study/{name}": PACKAGE / "studies/levels" / name
    for name in ("__init__.py", "settings.py", "analysis.py", "figure.py", "levels.rst", "effects.py", "claims.yaml")
}
IN_CONFIG = "\n  levels: {models: [], group: nlp}   # the level of every run, before fine-tuning and after it\n"


@pytest.fixture(scope="module")
def with_study(clone):
    """A copy of the project with one more study, which the documents made from the settings also include."""
    project = clone("study")
    put(project, STUDY)
    insert(project / "config.yaml", "\nanalysis:\n", IN_CONFIG)
    call(project, "document_config")
    return project


def test_a_study_is_a_folder_and_its_entry_in_the_config(with_study):
    made = {"config.yaml", "config/schema.json", "docs/config.md"}
    assert touched(with_study) == {*map(str, STUDY.values()), *made}
    assert len(STUDY) + len(made) == 10
    assert "| `studies.levels.models` | list of text | models, in display order" in (
        with_study / "docs/config.md"
    ).read_text(encoding="utf-8")
    schema = json.loads((with_study / "config/schema.json").read_text(encoding="utf-8"))
    assert "levels" in schema["$defs"]["Studies"]["properties"]


def test_the_rules_of_a_new_study_are_planned(with_study, tmp_path):
    chosen = ("--configfile", "tests/config/tiny.yaml")
    left_out = snakemake(with_study, "figure_levels", "-n", *chosen)
    assert left_out.returncode == 0 and "draw_levels" not in planned(left_out.stdout)
    overlay = tmp_path / "levels.yaml"
    overlay.write_text("studies: {levels: {models: [gemma]}}\n")
    answer = snakemake(with_study, "figure_levels", "-n", *chosen, str(overlay))
    assert answer.returncode == 0, answer.stdout
    jobs = planned(answer.stdout)
    assert {"extract_patterns_nlp", "analyse_levels", "draw_levels"} <= {
        re.sub(r"^(extract_patterns_nlp).*", r"\1", name) for name in jobs
    }
    assert "results/tiny/patterns/gemma/nlp.sgsm.seed0/sgsm" in jobs["analyse_levels"]
    assert "input: results/tiny/runs.csv, results/tiny/analysis/levels.csv" in jobs["draw_levels"]


@pytest.mark.parametrize(
    ("settings", "key", "hint"),
    [
        ("{model: [llama]}", "studies.levels.model", "is unknown; did you mean 'models'?"),
        ("{models: [lama]}", "studies.levels.models[0]", "the unknown model 'lama'; did you mean 'llama'?"),
    ],
)
def test_what_is_wrong_with_its_settings_is_said(with_study, tmp_path, settings, key, hint):
    overlay = tmp_path / "wrong.yaml"
    overlay.write_text(f"studies: {{levels: {settings}}}\n")
    answer = snakemake(with_study, "-n", "--configfile", "tests/config/tiny.yaml", str(overlay))
    assert answer.returncode != 0
    assert_refusal(answer.stdout, key, hint)


def test_a_folder_without_a_study_ends_snakemake_with_a_sentence(clone):
    project = clone("nothing")
    folder = project / PACKAGE / "studies/levels"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""A study to be."""\n')
    answer = snakemake(project, "-n")
    assert answer.returncode != 0
    assert_refusal(answer.stdout, str(folder), "defines no study: define STUDY as a Study in its __init__.py.")
    assert answer.stdout.startswith("WorkflowError")  # Snakemake's own error, as for a refused config


def test_a_new_study_computes_draws_judges_and_is_in_the_report(with_study, tmp_path):
    runs, table = write_patterns(tmp_path, "levels"), tmp_path / "analysis/levels.csv"
    settings = {"resamples": 20, "seed": 0}
    call(with_study, "analyse", "levels", inputs={"runs": runs}, outputs={"levels": table}, settings=settings)
    changes = {(row["model"], row["task"]): row["value"] for row in rows_of(table) if row["state"] == "change"}
    assert changes == {("big", "gsm8k"): "1", ("big", "arc"): "1", ("small", "gsm8k"): "1", ("small", "arc"): "-0.5"}
    given = {"inputs": {"runs": runs, "levels": table}}
    call(with_study, "draw", "levels", "--output", str(tmp_path / "figures"), **given)
    [big, small] = judged(with_study, tmp_path, "levels", runs, settings)
    assert (big["model"], big["plain"], big["verdict"]) == ("big", "1", "holds")
    # The mean over two tasks, one of which falls by 0.5 for the model small; tasks are held fixed.
    assert (small["plain"], small["verdict"], small["held"]) == ("0.25", "holds", "seeds; tasks")

    write_what_every_report_shows(tmp_path)
    page = tmp_path / "report.html"
    written = ("--output", str(page), "--summary-output", str(tmp_path / "summary.md"))
    chosen = ("--experiment", "any", "--results", str(tmp_path), "--studies", "levels", *written)
    call(with_study, "render_report", *chosen)
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert '<section id="levels">' in text and "<strong>How high activation levels are.</strong>" in text
    assert '<a href="#levels">Levels</a>' in text and "The mean activation level rises." in text
    pass_tests(with_study, "tests/unit/test_studies.py")


def lines(text: str) -> str:
    """A text without the indentation of its lines."""
    return "\n".join(line.strip() for line in text.strip().splitlines())


def test_what_the_recipes_show_is_what_is_done_here():
    """Every code example in the recipes is in a file of tests/contributing, or in a text that is inserted here."""
    files = [path.read_text(encoding="utf-8") for path in CONTRIBUTED.rglob("*.*") if path.suffix in (".py", ".yaml")]
    done = [lines(text) for text in (*files, *DESCRIPTION.values(), IN_CONFIG)]
    pages = [(PROJECT / f"docs/add-{name}.md").read_text(encoding="utf-8") for name in ("dataset", "figure", "study")]
    text = "".join([pages[0].partition("## With an adapter")[2], *pages[1:]])
    blocks = re.findall(r"^ *```(?:python|yaml)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 7
    for block in blocks:
        assert any(lines(block) in one for one in done), block
