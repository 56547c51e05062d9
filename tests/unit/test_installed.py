"""The installed package: sdist and wheel are complete, and the half that computes with patterns needs no torch."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import numpy as np
import pattern_files
import pytest
from packaging.requirements import Requirement
from project import PROJECT

import headpatterns
from headpatterns.experiment import run_table

PACKAGE = PROJECT / "workflow_scripts/headpatterns"
BUILD = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")

pytestmark = pytest.mark.slow


def checked(*command, **options):
    """The output of a command, which must succeed."""
    answer = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The unpacked sdist, built from the files of a clone."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("sdist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(PROJECT / name, source)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(PROJECT / "workflow_scripts", source / "workflow_scripts", ignore=ignored)
    checked(sys.executable, "-c", BUILD, made, cwd=source)
    with tarfile.open(next(made.glob("*.tar.gz"))) as archive:
        archive.extractall(made, filter="data")
    return next(made.glob("headpatterns-*/"))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The wheel that is built only from the sdist."""
    folder = tmp_path_factory.mktemp("wheel")
    checked(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, sdist)
    return next(folder.glob("*.whl"))


def needed(requirements):
    """The distributions of requirements without an extra, and all distributions that these require."""
    found, left = {}, [Requirement(line) for line in requirements]
    while left:
        one = left.pop()
        if one.marker and not one.marker.evaluate({"extra": ""}):
            continue
        distribution = metadata.distribution(one.name)
        assert distribution.version in one.specifier
        if distribution.name not in found:
            found[distribution.name] = distribution
            left += map(Requirement, distribution.requires or ())
    return found


def requirements(wheel):
    """The requirements that the wheel states."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist")


@pytest.fixture(scope="module")
def clean(wheel, tmp_path_factory):
    """An environment with only the wheel and its base dependencies, which are links to those of this environment."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    for distribution in needed(requirements(wheel)).values():
        for top in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            place = Path(distribution.locate_file(top))
            (packages / top).symlink_to(place)
    checked(*PIP, "--python", folder / "bin/python", "install", "--no-deps", "--no-index", wheel)
    return folder


def alone():
    """The environment of a process that sees no other packages and no checkout."""
    return {**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, "PYTHONNOUSERSITE": "1"}


def test_the_wheel_has_every_file_of_the_package(wheel):
    here = {
        str(path.relative_to(PACKAGE.parent)) for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        entry = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "headpatterns = headpatterns.command:main" in archive.read(entry).decode()
    assert inside == here
    assert {"headpatterns/py.typed", "headpatterns/comparison/page.html.j2"} <= inside


def test_modules_of_other_packages_are_declared(wheel):
    """Imported packages are among the dependencies or extras, or come only with the workflow's own environment."""
    declared = {Requirement(line).name.lower().replace("_", "-") for line in requirements(wheel)}
    of_module = metadata.packages_distributions()
    imported = set()
    for path in PACKAGE.rglob("*.py"):
        imported |= set(re.findall(r"^ *(?:import|from) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    used = {of_module[name][0].lower().replace("_", "-") for name in imported if name in of_module}
    with_others = {"headpatterns", "triton", "tabulate", "httpx2", "huggingface-hub", "pydantic-core"}
    assert used - declared - with_others - {"setuptools"} == set()


def test_the_half_without_torch_reads_patterns_and_computes(clean, tmp_path):
    """Table 1, Figure 1 and Figure 2 are computed from a run table, as the workflow computes them."""
    values = np.random.default_rng(0).normal(size=(20, 2, 4))
    for step in (0, 3):
        pattern_files.save(tmp_path / "run", step, values * (1 + step))
    row = {"study": "adaptation", "model": "m", "seed": "0", "patterns": "run"}
    runs = [{**row, "task": task, "run": task} for task in ("a", "b")]
    lines = [",".join(run.get(column, "") for column in run_table.COLUMNS) for run in runs]
    (tmp_path / "runs.csv").write_text("\n".join([",".join(run_table.COLUMNS), *lines]) + "\n")
    program = (
        "import importlib.util, sys\n"
        "assert importlib.util.find_spec('torch') is None and importlib.util.find_spec('matplotlib') is None\n"
        "import headpatterns as hp\n"
        "a, b = (hp.load_patterns('run', step=step) for step in (0, 3))\n"
        "print(hp.__version__, hp.__file__, a.values.shape)\n"
        "print(hp.similarity({'a': a, 'b': b}, resamples=50).iloc[0]['plain'])\n"
        "print(sorted(set(hp.concentration({'a': a}, resamples=50)['statistic'])))\n"
        "try: hp.activation_patterns\n"
        "except ImportError as error: print(error)\n"
        "from pathlib import Path\n"
        "from headpatterns.studies.adaptation import distribution, similarity\n"
        "for analysis in (distribution, similarity):\n"
        "    for name, table in analysis.compute(Path('runs.csv'), 50, 0).items(): print(name, len(table.rows))\n"
    )
    out = checked(clean / "bin/python", "-c", program, cwd=tmp_path, env=alone()).splitlines()
    version, place, shape = out[0].split(maxsplit=2)
    assert version == headpatterns.__version__
    assert Path(place).is_relative_to(clean) and shape == "(20, 2, 4)"
    assert float(out[1]) == pytest.approx(1)
    assert out[2] == "['cv', 'gini', 'kurtosis', 'level', 'loss']"
    assert 'pip install "headpatterns[models]"' in out[3]
    sizes = {name: int(rows) for name, rows in (line.split() for line in out[4:])}
    assert sizes["patterns"] == 2 * 4 * 8 and {"distribution", "by_model", "similarity"} <= set(sizes)
    assert min(sizes.values()) > 0


@pytest.mark.parametrize(
    ("words", "extras"),
    [
        (("patterns", "model", "rows.jsonl"), "models"),
        (("ablate", "model", "rows.jsonl"), "models"),
        (("select", "model", "rows.jsonl", "rows.jsonl"), "models"),
        (("check-model", "model"), "models"),
        (("show-sample", "model", "rows.jsonl"), "models"),
        (("compare", "a", "b", "--data", "rows.jsonl"), "models,drawing"),
    ],
)
def test_a_missing_extra_is_named_in_one_sentence(clean, tmp_path, words, extras):
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
    answer = subprocess.run(
        [clean / "bin/headpatterns", *words], cwd=tmp_path, capture_output=True, text=True, env=alone()
    )
    assert (answer.returncode, answer.stdout) == (2, "")
    (line,) = answer.stderr.splitlines()
    assert line.startswith("headpatterns: ") and line.endswith(f'pip install "headpatterns[{extras}]".')


def test_words_rank_a_pool_without_torch(clean, tmp_path):
    (tmp_path / "rows.jsonl").write_text(
        '{"prompt": "red apples", "response": "b"}\n{"prompt": "tea", "response": "c"}\n'
    )
    words = ("select", "model", "rows.jsonl", "rows.jsonl", "--method", "bm25")
    out = checked(clean / "bin/headpatterns", *words, cwd=tmp_path, env=alone())
    assert "bm25" in out and "ranking: selection/ranking.csv" in out


def test_the_installed_command_takes_patterns(clean, model_folder, rows, tmp_path):
    """The packages of this environment are visible too, after those of the clean one."""
    own = next(clean.glob("lib/python*/site-packages"))
    (own / "models.pth").write_text(f"{metadata.distribution('torch').locate_file('')}\n")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("patterns", model_folder, "rows.jsonl", "--threads", 1, "--json")
    try:
        out = checked(clean / "bin/headpatterns", *words, cwd=tmp_path, env=alone())
    finally:
        (own / "models.pth").unlink()
    assert '"layers": [' in out
    assert np.load(tmp_path / "patterns.npy").shape == (3, 6)


USER = """
from pathlib import Path

import numpy as np

import headpatterns as hp

stored: hp.StoredPatterns = hp.load_patterns(Path("p.npy"), step=0)
mean: np.ndarray = stored.mean
table = hp.similarity({"a": stored, "b": "p.npy"}, method="spearman")
found: hp.Comparison = hp.compare("a", "b", {"x": "rows.jsonl"}, samples=None)
chosen: dict[tuple[str, int], Path] = hp.select("m", "pool", "target", budgets=[3]).chosen
heads = hp.ablate("m", "rows.jsonl").heads
text: str = hp.show_sample("m", "rows.jsonl", "7")
names: list[str] = [check.name for check in hp.check_model("m")]
levels = hp.concentration({"a": hp.patterns("m", "rows.jsonl", samples=8)})
hp.similarity("p.npy")  # WRONG
hp.load_patterns("p.npy", step="0")  # WRONG
hp.pattern("m")  # WRONG
"""


def test_a_users_file_is_type_checked_against_the_installed_package(clean, tmp_path):
    (tmp_path / "user.py").write_text(USER)
    options = ("--strict", "--python-executable", clean / "bin/python", "--cache-dir", tmp_path / "cache")
    answer = subprocess.run(
        [sys.executable, "-m", "mypy", *map(str, options), "user.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=alone(),
    )
    wrong = {number for number, line in enumerate(USER.splitlines(), start=1) if "WRONG" in line}
    found = {int(number) for number in re.findall(r"^user\.py:(\d+): error", answer.stdout, re.MULTILINE)}
    assert found == wrong, answer.stdout + answer.stderr
