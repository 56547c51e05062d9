"""Fetching from a hub server on this machine, with as much of the real hub's protocol as clients need."""

import copy
import json
import re
import socket
import subprocess
import time

import hub_server
import pandas
import pyarrow
import pyarrow.parquet
import pytest
import safetensors.torch
import scripts
from hub_server import COMMIT
from project import snakemake

from headpatterns.models import loading as models

pytestmark = pytest.mark.slow

CARD = """---
configs:
- config_name: algebra
  data_files: [{split: train, path: algebra/train.parquet}, {split: test, path: algebra/test.parquet}]
- config_name: geometry
  data_files: [{split: train, path: geometry/train.parquet}]
---
"""


TEMPLATES = {"chat_template.jinja", "additional_chat_templates/tool_use.jinja"}
"""Chat templates of every model: the default one, and one with a name."""


@pytest.fixture(scope="module")
def server(tmp_path_factory, model_folder):
    """A hub that has datasets of two configurations and models with several kinds of weights."""
    root = tmp_path_factory.mktemp("hub")
    for name in ("maths", "gated-maths"):
        dataset = root / "datasets" / "org" / name
        for part in ("algebra/train", "algebra/test", "geometry/train"):
            path = dataset / f"{part}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = {"problem": [f"{part} {n}" for n in range(3)], "choices": [{"text": ["a", "b"]}] * 3}
            pyarrow.parquet.write_table(pyarrow.table(rows), path)
        (dataset / "README.md").write_text(CARD)
    (root / "datasets" / "org" / "program").mkdir()
    (root / "datasets" / "org" / "program" / "program.py").write_text("import datasets")
    safe, pickled = (".safetensors",), (".bin",)
    for name, kept in {"both": safe + pickled, "pickled": pickled, "bare": (), "gated": safe, "enormous": safe}.items():
        folder = root / "models" / "org" / name
        folder.mkdir(parents=True)
        for path in model_folder.glob("*.json"):
            (folder / path.name).write_bytes(path.read_bytes())
        (folder / "README.md").write_text("A model.")
        (folder / "original").mkdir()
        (folder / "original" / "params.json").write_text("{}")
        for template in TEMPLATES:
            (folder / template).parent.mkdir(exist_ok=True)
            (folder / template).write_text("{{ messages }}")
        weights = (model_folder / "model.safetensors").read_bytes()
        if ".safetensors" in kept:
            (folder / "model.safetensors").write_bytes(weights)
        if ".bin" in kept:
            import torch

            torch.save(safetensors.torch.load(weights), folder / "pytorch_model.bin")
    with hub_server.serving(root) as server:
        yield server


@pytest.fixture
def hub(server):
    """The hub's address."""
    return server.address


def fetch(script, tmp_path, hub, repository, revision="main", token=None, **options):
    """Run a script in an empty home; no file may be left there or next to the output."""
    done = scripts.launch(
        script,
        tmp_path / "home",
        hub=hub,
        token=token,
        positional=["--hub", repository],
        revision=revision,
        output=tmp_path / "out" / "it",
        **options,
    )
    assert not list((tmp_path / "home").iterdir())
    assert "Traceback" not in done.stderr
    found = list((tmp_path / "out").iterdir()) if (tmp_path / "out").exists() else []
    assert [path.name for path in found] == ([] if done.returncode else ["it"])
    return done


def sentence(done):
    """The error of a failed script: the last line on the terminal, with only progress before it."""
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_one_configuration_and_split_becomes_one_file(hub, tmp_path, revision):
    done = fetch("fetch_dataset", tmp_path, hub, "org/maths", revision, name="algebra", split="train")
    assert done.returncode == 0, done.stderr
    found = pandas.read_parquet(tmp_path / "out" / "it")
    assert list(found["problem"]) == [f"algebra/train {n}" for n in range(3)]
    assert list(found["choices"][0]["text"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "split", "reason"),
    [
        ("calculus", "train", "has no configuration 'calculus': set name to one of algebra, geometry."),
        ("geometry", "test", "has no split 'test' of the configuration geometry: set split to one of train."),
        (None, "train", "has several configurations: set name to one of algebra, geometry."),
    ],
)
def test_a_configuration_or_split_that_is_not_there(hub, tmp_path, name, split, reason):
    done = fetch("fetch_dataset", tmp_path, hub, "org/maths", split=split, **({"name": name} if name else {}))
    assert sentence(done) == f"fetch_dataset: the dataset org/maths (revision main) {reason}"


def test_a_dataset_that_is_a_program(hub, tmp_path):
    done = fetch("fetch_dataset", tmp_path, hub, "org/program", split="train")
    assert "the dataset org/program (revision main) is a program that makes the data" in sentence(done)


@pytest.mark.parametrize(("name", "weights"), [("both", "model.safetensors"), ("pickled", "pytorch_model.bin")])
def test_a_model_comes_with_what_loading_needs(hub, tmp_path, model_folder, name, weights):
    done = fetch("fetch_model", tmp_path, hub, f"org/{name}", COMMIT)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out" / "it"
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert found == {path.name for path in model_folder.glob("*.json")} | {weights, *TEMPLATES}
    fetched, original = models.load_model(tmp_path / "out" / "it"), models.load_model(model_folder)
    for (name, one), other in zip(fetched.named_parameters(), original.parameters(), strict=True):
        assert one.equal(other), name


def test_a_model_without_weights_is_refused(hub, tmp_path):
    done = fetch("fetch_model", tmp_path, hub, "org/bare")
    assert sentence(done).startswith("fetch_model: the model org/bare (revision main) has no weights")


def test_weights_that_are_not_what_the_hub_states_are_refused(server, hub, tmp_path):
    [path] = (server.state.root / "models/org/pickled").glob("*.bin")
    good = path.read_bytes()
    server.state.changed[path.name] = good[:-1] + bytes([good[-1] ^ 1])
    asked = {"positional": ["--hub", "org/pickled"], "revision": COMMIT, "output": tmp_path / "out" / "it"}
    try:
        said = sentence(scripts.launch("fetch_model", tmp_path / "home", hub=hub, **asked))
    finally:
        server.state.changed.clear()
    assert said.startswith(f"fetch_model: {path.name} of the model org/pickled (revision {COMMIT}) has the ")
    assert " checksum " in said and "but the hub states" in said and "the download was removed; run again" in said
    done = fetch("fetch_model", tmp_path, hub, "org/pickled", COMMIT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "it" / path.name).read_bytes() == good


KINDS = pytest.mark.parametrize(
    ("script", "kind", "options", "page"),
    [
        ("fetch_model", "model", {}, ""),
        ("fetch_dataset", "dataset", {"name": "algebra", "split": "train"}, "datasets/"),
    ],
    ids=["model", "dataset"],
)


@KINDS
def test_each_thing_that_the_hub_may_refuse_has_a_sentence_of_its_own(hub, tmp_path, script, kind, options, page):
    gated, there = {"model": ("org/gated", "org/both"), "dataset": ("org/gated-maths", "org/maths")}[kind]

    def said(repository, revision="main", hub=hub, token=None):
        return sentence(fetch(script, tmp_path, hub, repository, revision, token, **options))

    def of(repository, revision="main"):
        return f"{script}: the {kind} {repository} (revision {revision})"

    address = f"{hub}/{page}{gated}"
    assert said(gated) == (
        f"{of(gated)} is gated: accept its licence at {address}, then `hf auth login` or set HF_TOKEN."
    )
    assert said(gated, token="somebody") == (
        f"{of(gated)} is gated and this login has no access to it: accept its licence at {address} with "
        "the account of this login."
    )
    assert said(there, token="expired").startswith(f"{script}: the hub does not accept the token of this login")
    assert said("org/nothing").startswith(
        f"{script}: the {kind} org/nothing is not on the hub, or it is private and there"
    )
    assert said("org/nothing", token="somebody") == (
        f"{script}: the {kind} org/nothing is not on the hub, or this login may not see it: fix its id."
    )
    assert said(there, "b" * 40).startswith(f"{script}: the {kind} {there} has no revision {'b' * 40}: use a commit")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        assert said(there, hub=closed).startswith(f"{script}: the hub at {closed} cannot be reached (")
    assert said(there, hub=None) == (
        f"{script}: the environment variable HF_HUB_OFFLINE is set, so the hub is not used: unset it, "
        "or give local files as path."
    )


@KINDS
def test_what_is_gated_comes_with_the_right_token(hub, tmp_path, script, kind, options, page):
    repository = {"model": "org/gated", "dataset": "org/gated-maths"}[kind]
    done = fetch(script, tmp_path, hub, repository, token="welcome", **options)
    assert done.returncode == 0, done.stderr


def test_a_disk_that_is_too_small_is_found_before_the_download(hub, tmp_path):
    said = sentence(fetch("fetch_model", tmp_path, hub, "org/enormous"))
    assert re.fullmatch(
        r"fetch_model: the model org/enormous \(revision main\) takes \d+\.\d GB, but the disk of "
        rf"{re.escape(str(tmp_path / 'out'))} has \d+\.\d GB free: free space there\.",
        said,
    )


@KINDS
def test_a_download_tells_how_far_it_is(hub, tmp_path, script, kind, options, page):
    """The progress is on the terminal, although all other output is in the log."""
    repository = {"model": "org/both", "dataset": "org/maths"}[kind]
    done = fetch(script, tmp_path, hub, repository, log=tmp_path / "log.txt", **options)
    assert done.stdout == ""
    told = done.stderr.splitlines()
    assert told and all(
        re.fullmatch(rf"{script}: {repository}: (\d+) of \1 files, 0\.00 of 0\.00 GB", line) for line in told
    )


@KINDS
def test_a_killed_download_goes_on_with_the_files_that_it_lacks(server, hub, tmp_path, script, kind, options, page):
    state = server.state
    repository, name, whole = {
        "model": ("org/both", "model.safetensors", "tokenizer.json"),
        "dataset": ("org/maths", "test.parquet", "train.parquet"),
    }[kind]
    state.given.clear()
    state.released.clear()
    state.halted.add(name)
    out = tmp_path / "out"
    asked = {"positional": ["--hub", repository], "revision": COMMIT, "output": out / "it", **options}
    stopped = scripts.launch(script, tmp_path / "home", start=subprocess.Popen, hub=hub, **asked)
    deadline = time.monotonic() + 120
    while not (complete(out, kind) and name in state.given):
        assert stopped.poll() is None, stopped.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stopped.kill()
    stopped.communicate()
    state.halted.clear()
    state.released.set()
    assert [path.name for path in out.iterdir()] == ["it.unfinished"]
    done = fetch(script, tmp_path, hub, repository, COMMIT, **options)
    assert done.returncode == 0, done.stderr
    assert state.given.count(name) > state.given.count(whole) == 1
    if kind == "model":
        models.load_model(out / "it")
    else:
        assert list(pandas.read_parquet(out / "it")["problem"]) == [f"algebra/train {n}" for n in range(3)]


def complete(out, kind):
    """Whether the first file is complete, while the hub holds another one back."""
    place = {
        "model": "it.unfinished/files/tokenizer.json",
        "dataset": "it.unfinished/hub/*/snapshots/*/algebra/train.*",
    }
    return list(out.glob(place[kind]))


def check(tmp_path, hub, *sources, token=None):
    return scripts.launch(
        "check_hub", tmp_path / "home", hub=hub, token=token, sources=json.dumps(sources), output=tmp_path / "hub.json"
    )


def source(tmp_path, kind, id, revision="main", **others):
    return {"kind": kind, "hub": id, "revision": revision, "output": str(tmp_path / id.replace("/", "--")), **others}


def test_the_check_says_everything_at_once(hub, tmp_path):
    done = check(
        tmp_path,
        hub,
        source(tmp_path, "model", "org/gated"),
        source(tmp_path, "model", "org/both"),
        source(tmp_path, "dataset", "org/maths", name="algebra", split="validation"),
        source(tmp_path, "dataset", "org/maths", name="calculus", split="train"),
        source(tmp_path, "model", "org/bare"),
        source(tmp_path, "model", "org/enormous"),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    told = done.stderr.splitlines()
    assert told[0].startswith("check_hub: the model org/gated (revision main) is gated: accept")
    assert told[1].startswith("the dataset org/maths (revision main) has no split 'validation' of the configuration")
    assert told[2].startswith("the dataset org/maths (revision main) has no configuration 'calculus'")
    assert told[3].startswith("the model org/bare (revision main) has no weights")
    assert told[4].startswith("what is to be downloaded takes ")
    assert len(told) == 5
    assert not (tmp_path / "hub.json").exists() and not list((tmp_path / "home").iterdir())


def test_a_hub_that_does_not_answer_is_one_problem_not_many(tmp_path):
    done = check(tmp_path, None, *(source(tmp_path, "model", f"org/{name}") for name in ("one", "two")))
    assert sentence(done) == (
        "check_hub: the environment variable HF_HUB_OFFLINE is set, so the hub is not used: unset it, "
        "or give local files as path."
    )
    assert len(done.stderr.splitlines()) == 1


def test_the_check_measures_what_is_to_be_fetched_and_asks_nothing_of_what_is_there(server, hub, tmp_path):
    (tmp_path / "there--model").mkdir()
    (tmp_path / "there--model" / "model.safetensors").write_bytes(b"12345")
    there = source(tmp_path, "model", "there/model", COMMIT)
    algebra = source(tmp_path, "dataset", "org/maths", COMMIT, name="algebra", split="train")
    done = check(tmp_path, hub, there, algebra)
    assert done.returncode == 0, done.stderr
    files = server.state.root / "datasets" / "org" / "maths" / "algebra"
    assert json.loads((tmp_path / "hub.json").read_text()) == [
        {"kind": "model", "hub": "there/model", "revision": COMMIT, "bytes": 5},
        {
            "kind": "dataset",
            "hub": "org/maths",
            "revision": COMMIT,
            "name": "algebra",
            "split": "train",
            "bytes": sum(path.stat().st_size for path in files.iterdir()),
        },
    ]


def test_the_workflow_asks_the_hub_first_and_fetches_once(hub, clone, tmp_path):
    """Fetched files stay valid if the check's own file is touched or lost, or if another source is added."""
    folder = clone("hub")
    rows = {"hub": "org/maths", "name": "algebra", "revision": COMMIT}
    fine = {
        "models": {"theirs": {"label": "Theirs", "source": {"hub": "org/both", "revision": COMMIT}}},
        "datasets": {"gsm8k": {"train": [{**rows, "split": "train"}], "probe": [{**rows, "split": "test"}]}},
        "studies": {
            **{study: {"models": ["theirs"]} for study in ("adaptation", "composition", "dynamics")},
            **{study: {"models": []} for study in ("mixing", "selection")},
            "benchmarks": {"checkpoints": [], "sets": []},
        },
    }

    def run(overlay, *arguments):
        file = tmp_path / "overlay.yaml"
        file.write_text(json.dumps(overlay))
        return snakemake(
            folder,
            *("results/tiny/models/theirs", f"results/tiny/raw/hub/org--maths.algebra.train.{COMMIT}.parquet"),
            *("--cores", "2", *arguments, "--configfile", "tests/config/tiny.yaml", str(file)),
            HF_ENDPOINT=hub,
            HOME=str(tmp_path),
        )

    wrong = copy.deepcopy(fine)
    wrong["models"]["theirs"]["source"]["hub"] = "org/gated"
    wrong["datasets"]["gsm8k"]["probe"][0]["split"] = "validation"
    answer = run(wrong)
    assert answer.returncode != 0
    assert "check_hub: the model org/gated" in answer.stdout and "has no split 'validation'" in answer.stdout
    assert "rule fetch_" not in answer.stdout.replace("localrule", "rule")
    assert not (folder / "results/tiny/raw").exists() and not (folder / "results/tiny/models").exists()

    answer = run(fine)
    assert answer.returncode == 0, answer.stdout
    assert "fetch_model: org/both: 7 of 7 files" in answer.stdout
    checked = folder / "results/tiny/hub.json"
    assert [source["hub"] for source in json.loads(checked.read_text())] == ["org/both", "org/maths", "org/maths"]

    def left_to_do(overlay):
        answer = run(overlay, "-n", "--quiet", "rules")
        assert answer.returncode == 0, answer.stdout
        return set(re.findall(r"^(\w+) +\d+$", answer.stdout, re.MULTILINE)) - {"total"}

    assert left_to_do(fine) == set()
    checked.touch()
    assert left_to_do(fine) == set()
    more = copy.deepcopy(fine)
    more["datasets"]["arc"] = {"train": [{**rows, "name": "geometry", "split": "train"}], "probe": []}
    assert left_to_do(more) == {"check_hub"}
    checked.unlink()
    assert left_to_do(fine) == set()
