"""Fetching from a hub of our own on this machine, which speaks as much of the real one's protocol as clients need."""

import hashlib
import http.server
import json
import threading
import urllib.parse

import pandas
import pyarrow
import pyarrow.parquet
import pytest
import safetensors.torch
import scripts

from headpatterns import models

COMMIT = "a" * 40
CARD = """---
configs:
- config_name: algebra
  data_files: [{split: train, path: algebra/train.parquet}, {split: test, path: algebra/test.parquet}]
- config_name: geometry
  data_files: [{split: train, path: geometry/train.parquet}]
---
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves the repositories below `root`: {models,datasets}/{organisation}/{name}/…"""

    root = None

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(body)}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self):
        parts = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).strip("/").split("/")
        if parts[0] == "api":
            return self.describe(parts[1], "/".join(parts[2:4]), parts[4:])
        kind, parts = ("datasets", parts[1:]) if parts[0] == "datasets" else ("models", parts)
        path = self.root / kind / "/".join(parts[:2]) / "/".join(parts[4:])  # organisation/name/resolve/commit/path
        if not path.is_file():
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        body = path.read_bytes()
        return self.answer(200, body, ETag=f'"{hashlib.sha1(body).hexdigest()}"', X_Repo_Commit=COMMIT)

    do_HEAD = do_GET  # noqa: N815

    def describe(self, kind, name, question):
        folder = self.root / kind / name
        if not folder.is_dir():
            return self.answer(404, b"{}", X_Error_Code="RepoNotFound")
        if question[1] not in ("main", COMMIT):
            return self.answer(404, b"{}", X_Error_Code="RevisionNotFound")
        below = "/".join(question[2:])
        files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
        tree = [
            {
                "type": "file",
                "path": name,
                "size": path.stat().st_size,
                "oid": hashlib.sha1(path.read_bytes()).hexdigest(),
            }
            for name, path in files.items()
            if name.startswith(below)
        ]
        about = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
        return self.answer(200, json.dumps(tree if question[0] == "tree" else about).encode())


@pytest.fixture(scope="module")
def hub(tmp_path_factory, model_folder):
    """The hub's address; it has a dataset of two configurations and a model with several kinds of weights."""
    root = tmp_path_factory.mktemp("hub")
    dataset = root / "datasets" / "org" / "maths"
    for name in ("algebra/train", "algebra/test", "geometry/train"):
        path = dataset / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = {"problem": [f"{name} {n}" for n in range(3)], "choices": [{"text": ["a", "b"]}] * 3}
        pyarrow.parquet.write_table(pyarrow.table(rows), path)
    (dataset / "README.md").write_text(CARD)
    for name, kept in {"both": (".safetensors", ".bin"), "pickled": (".bin",), "bare": ()}.items():
        folder = root / "models" / "org" / name
        folder.mkdir(parents=True)
        for path in model_folder.glob("*.json"):
            (folder / path.name).write_bytes(path.read_bytes())
        (folder / "README.md").write_text("A model.")
        weights = (model_folder / "model.safetensors").read_bytes()
        if ".safetensors" in kept:
            (folder / "model.safetensors").write_bytes(weights)
        if ".bin" in kept:
            import torch

            torch.save(safetensors.torch.load(weights), folder / "pytorch_model.bin")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("OurHub", (Hub,), {"root": root}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def fetch(script, tmp_path, hub, repository, revision="main", **options):
    """Run in an empty home: nothing may be left there, nor beside the output."""
    words = ["--hub", repository]
    done = scripts.launch(
        script,
        tmp_path / "home",
        hub=hub,
        positional=words,
        revision=revision,
        output=tmp_path / "out" / "it",
        **options,
    )
    assert not list((tmp_path / "home").iterdir())
    assert "Traceback" not in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ([] if done.returncode else ["it"])
    return done


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
        ("calculus", "train", "'calculus' not found"),
        ("geometry", "test", "test"),
        (None, "train", "Config name is missing"),
    ],
)
def test_a_configuration_or_split_that_is_not_there(hub, tmp_path, name, split, reason):
    done = fetch("fetch_dataset", tmp_path, hub, "org/maths", split=split, **({"name": name} if name else {}))
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"fetch_dataset: the dataset org/maths (revision main, split {split}) cannot be fetched: ")
    assert reason in last


@pytest.mark.parametrize(("name", "weights"), [("both", "model.safetensors"), ("pickled", "pytorch_model.bin")])
def test_a_model_comes_with_what_loading_needs(hub, tmp_path, model_folder, name, weights):
    done = fetch("fetch_model", tmp_path, hub, f"org/{name}", COMMIT)
    assert done.returncode == 0, done.stderr
    found = {path.name for path in (tmp_path / "out" / "it").iterdir()}
    assert found == {path.name for path in model_folder.glob("*.json")} | {weights}
    fetched, original = models.load_model(tmp_path / "out" / "it"), models.load_model(model_folder)
    for (name, one), other in zip(fetched.named_parameters(), original.parameters(), strict=True):
        assert one.equal(other), name


def test_a_model_without_weights_is_refused(hub, tmp_path):
    done = fetch("fetch_model", tmp_path, hub, "org/bare")
    assert done.returncode == 2
    assert "fetch_model: the model org/bare (revision main) has no weights" in done.stderr


@pytest.mark.parametrize("script", ["fetch_dataset", "fetch_model"])
@pytest.mark.parametrize("repository", ["org/nothing", "org/both", None])
def test_what_the_hub_does_not_have_or_cannot_be_asked(hub, tmp_path, script, repository):
    """An unknown name, an unknown revision, and no hub at all: one sentence each."""
    options = {"split": "train"} if script == "fetch_dataset" else {}
    revision = "b" * 40 if repository == "org/both" else "main"
    done = fetch(script, tmp_path, hub if repository else None, repository or "org/both", revision, **options)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(script)]
    kind = script.removeprefix("fetch_")
    assert line.startswith(f"{script}: the {kind} {repository or 'org/both'} (revision {revision}")
    assert "cannot be fetched: " in line and "check its id, your network and login, or give" in line
