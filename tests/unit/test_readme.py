"""Examples in the README and the documentation work as written, with the reader's paths filled in."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from experiments import checked, config_of
from project import PROJECT

DOCUMENTS = ("README.md", "docs/own-models-and-data.md")
PATTERNS = ("README.md", "docs/read-patterns.md")


def text_of(document: str) -> str:
    return (PROJECT / document).read_text(encoding="utf-8")


def block(document: str, language: str, containing: str) -> str:
    """The first fenced block of a document that is in the given language and contains the given text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", text_of(document), re.DOTALL)
    return next(text for text in blocks if containing in text)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_overlay_for_own_models_and_data(document, tmp_path):
    text = block(document, "yaml", "my-llama").replace("/models/", f"{tmp_path}/").replace("/data/", f"{tmp_path}/")
    (tmp_path / "my-llama").mkdir()
    (tmp_path / "my-llama/config.json").write_text('{"max_position_embeddings": 2048}')
    (tmp_path / "my-llama/tokenizer.json").touch()
    (tmp_path / "gsm8k").mkdir()
    for name in ("my-task.jsonl", "gsm8k/train.jsonl", "gsm8k/test.jsonl"):
        (tmp_path / name).touch()
    overlay = yaml.safe_load(text)
    checked(config_of(overlay))
    if second := re.search(r"`(my-second: .*)`", text_of(document)):
        checked(config_of(overlay, {"models": yaml.safe_load("{" + second[1] + "}")}))


def test_a_model_in_two_stages_is_shown():
    assert "`my-second: {" in text_of("docs/own-models-and-data.md")


@pytest.mark.parametrize("document", PATTERNS)
def test_the_python_example(document, model_folder):
    names = {"folder": model_folder}
    exec(block(document, "python", "activation_patterns"), names)
    assert names["patterns"].shape == (1, 3, 6)
    assert names["patterns"].dtype == np.float32


def test_the_example_that_reads_a_file_of_patterns(monkeypatch, capsys):
    monkeypatch.chdir(PROJECT)
    names = {}
    exec(block("docs/read-patterns.md", "python", "pattern.argmax()"), names)
    exec(block("docs/read-patterns.md", "python", "change = "), names)
    assert names["pattern"].shape == names["change"].shape == (30, 9)
    layer, head = names["layer"], names["head"]
    assert names["pattern"][layer, head] == names["pattern"].max() > 0
    assert f"of layer {layer}, head {head}" in capsys.readouterr().out
    samples = np.load(f"{names['folder']}/step-0.samples.npy")
    assert np.abs(samples).mean(axis=0) == pytest.approx(names["pattern"], rel=1e-5)
    assert len(names["about"]["ids"]) == len(samples)


def test_the_readme_is_short():
    assert len(text_of("README.md").splitlines()) <= 150


def test_paths_that_the_readme_names_exist():
    for link in re.findall(r"\]\(([^)h][^)]*)\)", text_of("README.md")):
        assert (PROJECT / link).exists(), link
    for path in re.findall(r"`((?:tests|config|workflow_scripts)/[\w/.]+\.\w+)", text_of("README.md")):
        assert Path(PROJECT / path).is_file(), path
