"""The conventions of the project: what a linter reports is a defect like any other, and a fact is in only one place."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from project import PROJECT

import headpatterns

BIN = Path(sys.executable).parent


HOOKS = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
LINTERS = [hook["entry"] for hook in HOOKS]
QUICK = ("ruff", "codespell")


@pytest.mark.parametrize(
    "linter", [pytest.param(one, marks=() if one.startswith(QUICK) else pytest.mark.slow) for one in LINTERS]
)
def test_clean(linter):
    command, *options = linter.split()
    answer = subprocess.run([BIN / command, *options], cwd=PROJECT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_make_lint_runs_what_a_commit_runs():
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (PROJECT / "Makefile").read_text(), re.MULTILINE)[1]
    assert [line.strip().removeprefix(".venv/bin/") for line in recipe.splitlines()] == LINTERS


def test_the_version_is_the_same_everywhere():
    """The build reads only `headpatterns.__version__`. In the changelog, the version of the newest release counts."""
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+)$", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    assert str(citation["version"]) == newest == headpatterns.__version__
    built = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    assert "version" in built["project"]["dynamic"]
    assert built["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "headpatterns.__version__"}


def generate_pins(folder: Path, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, folder / "generate.py", *options], capture_output=True, text=True)


def test_the_conda_environments_are_those_of_the_pins():
    answer = generate_pins(PROJECT / "envs", "--check")
    assert answer.returncode == 0, answer.stderr


def test_a_new_pin_is_missed_until_it_is_generated(tmp_path):
    envs = shutil.copytree(PROJECT / "envs", tmp_path / "envs")
    with (envs / "opencompass.txt").open("a") as file:
        file.write("new-package==1.2.3\n")
    answer = generate_pins(envs, "--check")
    assert answer.returncode == 1
    assert answer.stderr == "envs/opencompass.yaml does not have the pins of envs/opencompass.txt: run `make pins`.\n"
    assert generate_pins(envs).returncode == 0
    assert generate_pins(envs, "--check").returncode == 0
    conda = yaml.safe_load((envs / "opencompass.yaml").read_text())
    assert conda["dependencies"][-1]["pip"] == [*pins("opencompass"), "new-package==1.2.3"]


def test_both_environments_read_models_the_same_way():
    readers = ("torch", "transformers", "tokenizers", "huggingface_hub", "safetensors", "sentencepiece")
    workflow, opencompass = (dict(pin.split("==") for pin in pins(name)) for name in ("workflow", "opencompass"))
    assert {name: opencompass[name] for name in readers} == {name: workflow[name] for name in readers}


def pins(name):
    return [line for line in (PROJECT / f"envs/{name}.txt").read_text().splitlines() if "==" in line]


def test_the_environments_name_no_registry():
    for path in (PROJECT / "envs").iterdir():
        assert "://" not in path.read_text()
