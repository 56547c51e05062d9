"""What the README shows works as it stands there, with the reader's paths filled in."""

import re
from pathlib import Path

import numpy as np
import yaml
from experiments import checked, config_of
from project import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    """The fenced block of a language that contains a text."""
    return next(text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if containing in text)


def test_the_overlay_for_own_models_and_data(tmp_path):
    text = block("yaml", "my-llama").replace("/models/", f"{tmp_path}/").replace("/data/", f"{tmp_path}/")
    (tmp_path / "my-llama").mkdir()
    (tmp_path / "my-llama/config.json").write_text('{"max_position_embeddings": 2048}')
    (tmp_path / "my-llama/tokenizer.json").touch()
    (tmp_path / "gsm8k").mkdir()
    for name in ("my-task.jsonl", "gsm8k/train.jsonl", "gsm8k/test.jsonl"):
        (tmp_path / name).touch()
    overlay = yaml.safe_load(text)
    checked(config_of(overlay))
    source = yaml.safe_load("{" + re.search(r"`(my-second: .*)`", README)[1] + "}")
    checked(config_of(overlay, {"models": source}))


def test_the_python_example(model_folder):
    names = {"folder": model_folder}
    exec(block("python", "activation_patterns"), names)
    assert names["patterns"].shape == (1, 3, 6)
    assert names["patterns"].dtype == np.float32


def test_paths_that_are_named_exist():
    for link in re.findall(r"\]\(([^)h][^)]*)\)", README):
        assert (PROJECT / link).exists(), link
    for path in re.findall(r"`((?:tests|config|workflow_scripts)/[\w/.]+\.\w+)", README):
        assert Path(PROJECT / path).is_file(), path
