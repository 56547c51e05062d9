"""The linters of the project, as tests: what they say is a defect like any other."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from project import PROJECT

BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["snakefmt", "--check", "Snakefile", "rules"],
        ["snakemake", "--lint"],
    ],
    ids=" ".join,
)
def test_clean(command):
    answer = subprocess.run([BIN / command[0], *command[1:]], cwd=PROJECT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("name", ["workflow", "opencompass"])
def test_conda_and_pip_pin_the_same(name):
    pinned = pins(name)
    conda = yaml.safe_load((PROJECT / f"envs/{name}.yaml").read_text())
    assert conda["dependencies"][-1]["pip"] == pinned


def test_both_environments_read_models_alike():
    readers = ("torch", "transformers", "tokenizers", "huggingface_hub", "safetensors", "sentencepiece")
    workflow, opencompass = (dict(pin.split("==") for pin in pins(name)) for name in ("workflow", "opencompass"))
    assert {name: opencompass[name] for name in readers} == {name: workflow[name] for name in readers}


def pins(name):
    return [line for line in (PROJECT / f"envs/{name}.txt").read_text().splitlines() if "==" in line]


def test_the_environments_name_no_registry():
    for path in (PROJECT / "envs").iterdir():
        assert "://" not in path.read_text()
