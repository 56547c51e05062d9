"""The dependencies are pinned, consistent and under known licences, and no script of the project loads programs."""

import ast
import importlib.util
import re
import subprocess
import sys
from importlib import metadata

import pytest
import yaml
from project import PROJECT

SCRIPTS = sorted((PROJECT / "workflow_scripts").rglob("*.py"))
PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.+!_-]*(; platform_system == \"Linux\")?")
FILES = ("workflow", "test", "opencompass", "audit")


def load(name):
    spec = importlib.util.spec_from_file_location(name, PROJECT / "envs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


licences, audit = load("licences"), load("audit")


@pytest.mark.parametrize("name", FILES)
def test_every_dependency_is_pinned_exactly_and_once(name):
    lines = [line.strip() for line in (PROJECT / f"envs/{name}.txt").read_text().splitlines()]
    pins = [line for line in lines if line and not line.startswith("#") and line != "-r workflow.txt"]
    assert [pin for pin in pins if not PIN.fullmatch(pin)] == []
    names = [licences.normal(pin.partition("==")[0]) for pin in pins]
    assert len(names) == len(set(names)) > 20
    if name == "test":
        assert not {*names} & {licences.normal(one) for one in licences.pins("workflow")}


@pytest.mark.slow
def test_the_environment_has_the_pins_and_is_consistent():
    for name in ("workflow", "test"):
        for package, pinned in licences.pins(name).items():
            assert metadata.version(package).partition("+")[0] == pinned, package
    checked = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_every_package_states_a_licence_that_is_expected_and_listed():
    done = subprocess.run([sys.executable, PROJECT / "envs/licences.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {row[:2] for row in licences.table()} == {
        pin for name in licences.ENVIRONMENTS for pin in licences.pins(name).items()
    }


def test_an_unknown_licence_is_named():
    rows = [
        ("one", "1", "workflow", "MIT OR GPL-3.0-only"),
        ("two", "1", "test", ""),
        ("docutils", "1", "workflow", "X"),
    ]
    said = list(licences.problems(rows))
    assert len(said) == 2 and "one of envs/workflow.txt has the licence MIT OR GPL-3.0-only" in said[0]
    assert "two of envs/test.txt is not installed, or states no known licence" in said[1]


ANSWER = 'print(\'{"dependencies": [{"name": "a", "version": "1", "vulns": [%s]}]}\')'


@pytest.mark.parametrize(
    ("program", "status", "said"),
    [
        (ANSWER % "", 0, "1 packages, 0 known"),
        (ANSWER % '{\"id\": \"X-1\", \"fix_versions\": [\"2\"]}', 1, "a 1 has X-1, fixed in 2."),
        ("import sys; sys.exit('no route')", 0, "because the database of weaknesses does not answer: no route"),
    ],
)  # fmt: skip
def test_the_audit_tells_weaknesses_from_no_answer(tmp_path, monkeypatch, capsys, program, status, said):
    (tmp_path / "pip_audit.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert audit.main() == status
    assert capsys.readouterr().out.count(said) == len(audit.FILES) == len(FILES)


def test_images_and_actions_are_pinned_by_their_content():
    container = (PROJECT / "Dockerfile").read_text()
    apptainer = (PROJECT / "envs/headpatterns.def").read_text()
    images = re.findall(r"^FROM (\S+)", container, re.MULTILINE) + re.findall(r"^From: (\S+)", apptainer, re.MULTILINE)
    digests = {re.fullmatch(r"[a-z.:0-9-]+@(sha256:[0-9a-f]{64})", image)[1] for image in images}
    assert len(images) == 2 and len(digests) == 1
    text = (PROJECT / ".github/workflows/ci.yml").read_text()
    assert len(re.findall(r"uses: ", text)) == len(
        re.findall(r"uses: \S+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", text, re.MULTILINE)
    )
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


CALLS = {
    "eval": "runs text", "exec": "runs text", "compile": "makes text into a program", "__import__": "imports by name",
    "os.system": "starts a shell", "os.popen": "starts a shell", "pickle.load": "runs what a pickle says",
    "pickle.loads": "runs what a pickle says", "joblib.load": "runs what a pickle says",
    "pandas.read_pickle": "runs what a pickle says", "pd.read_pickle": "runs what a pickle says",
    "torch.load": "runs what a pickle says", "yaml.load": "makes objects",
    "yaml.unsafe_load": "makes objects", "yaml.full_load": "makes objects", "tarfile.open": "unpacks anywhere",
    "shutil.unpack_archive": "unpacks anywhere", "load_dataset": "fetches whatever a name means",
}  # fmt: skip
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "tarfile"}
NEEDED = {"from_pretrained": ("trust_remote_code", False), "Environment": ("autoescape", True)}
FORBIDDEN = {"allow_pickle": True, "shell": True, "trust_remote_code": True, "weights_only": False}


def dotted(node):
    parts = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    return ".".join([node.id, *parts]) if isinstance(node, ast.Name) else ".".join(["?", *parts])


def dangers(tree):
    """The constructs of a script that would let input run as a program."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"imports {name}" for name in names if name.partition(".")[0] in MODULES)
        if not isinstance(node, ast.Call):
            continue
        name, given = dotted(node.func), {word.arg: word.value for word in node.keywords}
        if name in CALLS:
            yield f"{name} {CALLS[name]}"
        for word, value in FORBIDDEN.items():
            if word in given and not (isinstance(given[word], ast.Constant) and given[word].value is not value):
                yield f"{name} has {word}={ast.unparse(given[word])}"
        if needed := NEEDED.get(name.rpartition(".")[2]):
            word, value = needed
            if not (word in given and isinstance(given[word], ast.Constant) and given[word].value is value):
                yield f"{name} lacks {word}={value}"


def test_no_script_loads_programs():
    found = {path: list(dangers(ast.parse(path.read_text()))) for path in SCRIPTS}
    assert len(found) > 200 and {path: said for path, said in found.items() if said} == {}


@pytest.mark.parametrize(
    "program",
    [
        "import pickle", "from joblib import load", "eval('1')", "torch.load(x)", "yaml.load(x)",
        "np.load(x, allow_pickle=True)", "np.load(x, allow_pickle=flag)", "subprocess.run(x, shell=True)",
        "M.from_pretrained(x)", "jinja2.Environment()",
        "M.from_pretrained(x, trust_remote_code=True)",
    ],
)  # fmt: skip
def test_what_would_is_found(program):
    assert list(dangers(ast.parse(program)))
