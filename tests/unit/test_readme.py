"""What the README shows works as it stands there, with the reader's paths filled in."""

import re
from pathlib import Path

import numpy as np
import yaml
from project import PROJECT

from headpatterns.experiment import checks as config_checks

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    """The fenced block of a language that contains a text."""
    return next(text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if containing in text)


def merged(config: dict, overlay: dict) -> dict:
    """`overlay` laid over `config` as Snakemake does it: mappings merge, lists replace."""
    mapping = {key: value for key, value in overlay.items() if isinstance(value, dict)}
    return {**config, **overlay, **{key: merged(config.get(key) or {}, value) for key, value in mapping.items()}}


def test_the_overlay_for_own_models_and_data(tmp_path):
    text = block("yaml", "my-llama").replace("/models/", f"{tmp_path}/").replace("/data/", f"{tmp_path}/")
    (tmp_path / "my-llama").mkdir()
    (tmp_path / "my-llama/config.json").write_text('{"max_position_embeddings": 2048}')
    (tmp_path / "my-llama/tokenizer.json").touch()
    (tmp_path / "gsm8k").mkdir()
    for name in ("my-task.jsonl", "gsm8k/train.jsonl", "gsm8k/test.jsonl"):
        (tmp_path / name).touch()
    config = merged(yaml.safe_load((PROJECT / "config.yaml").read_text()), yaml.safe_load(text))
    config_checks.check(config, ["pretrain", "finetune", "extract_patterns", "ablate_heads"])
    source = yaml.safe_load("{" + re.search(r"`(my-second: .*)`", README)[1] + "}")
    config_checks.check(
        merged(config, {"models": source}), ["pretrain", "finetune", "extract_patterns", "ablate_heads"]
    )


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
