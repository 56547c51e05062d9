"""Fetching pinned datasets from a hub and from plain addresses on this machine, which fail like real servers."""

import csv
import hashlib
import json
import re
import shutil
import socket
import subprocess
import time
import zipfile

import hub_server
import pandas
import pyarrow
import pyarrow.parquet
import pytest
import scripts
from hub_server import COMMIT
from project import snakemake
from refusals import assert_refusal, refusal

from headpatterns.data import downloads, hub_check, pinned, transfers
from headpatterns.data.pinned import Pinned
from headpatterns.errors import InputError

ZIPPED = {"mathbench_v1/primary/cloze_cn.jsonl": '{"question": "1 + 1"}\n', "mathbench_v1/readme.txt": "Nothing."}
FILES = ("*/train-*.parquet", "*/test-*.parquet")


@pytest.fixture
def server(tmp_path):
    """A hub with repositories of tables and one of text, and a zip file at a separate address."""
    root = tmp_path / "served"
    for name in ("maths", "gated-maths", "enormous"):
        for part in ("algebra/train", "algebra/test", "geometry/train", "other/deep/train"):
            path = root / "datasets" / "org" / name / f"{part}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pyarrow.parquet.write_table(pyarrow.table({"problem": [f"{part} {n}" for n in range(50)]}), path)
    text = root / "datasets" / "org" / "text" / "rows.csv"
    text.parent.mkdir(parents=True)
    text.write_text("question,solution\n" + "".join(f"{n} + {n}?,{2 * n}\n" for n in range(1000)))
    (root / "files").mkdir()
    with zipfile.ZipFile(root / "files" / "bench.zip", "w") as opened:
        for name, content in ZIPPED.items():
            opened.writestr(name, content)
    with hub_server.serving(root) as server:
        yield server


@pytest.fixture(autouse=True)
def the_hub(server, monkeypatch):
    """Make the client use the server as the hub itself, without waiting between attempts."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 64)  # bytes that it writes at once
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(transfers, "PAUSE", 0.0)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nowhere/token")


def of_hub(name="maths", files=FILES, **others):
    """A dataset of the hub itself."""
    address = f"{pinned.THE_HUB}datasets/org/{name}"
    return Pinned(name, COMMIT, "primary", address, tuple(files), "", ("mirror",))._replace(**others)


def of_mirror(server, name="maths", files=FILES):
    """The same dataset at another hub."""
    return of_hub(name, files, source="mirror", address=f"{server.address}/datasets/org/{name}", others=("primary",))


def of_zip(server, checksum=None, files=("mathbench_v1/primary/cloze_cn.jsonl",), others=()):
    content = (server.state.root / "files" / "bench.zip").read_bytes()
    checksum = checksum or f"md5:{hashlib.md5(content).hexdigest()}"
    return Pinned("bench", "v1", "primary", f"{server.address}/files/bench.zip", tuple(files), checksum, others)


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def assert_fetched(server, output, name="maths"):
    """Check that only the named files are there, with the same bytes as at the source."""
    origin = server.state.root / "datasets" / "org" / name
    parts = ("algebra/test", "algebra/train", "geometry/train")
    wanted = ["rows.csv"] if name == "text" else [f"{part}-00000-of-00001.parquet" for part in parts]
    assert names(output) == wanted
    assert all((output / file).read_bytes() == (origin / file).read_bytes() for file in wanted)
    assert [path.name for path in output.parent.iterdir()] == [output.name]


@pytest.mark.parametrize("name", ["maths", "text"])
def test_the_files_that_the_table_names_come_with_their_names(server, tmp_path, name):
    source = of_hub(name, FILES if name == "maths" else ("rows.csv",))
    downloads.fetch_pinned(source, tmp_path / "out" / "it")
    assert_fetched(server, tmp_path / "out" / "it", name)


def test_a_mirror_gives_the_same_and_is_told_no_login(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "welcome")
    downloads.fetch_pinned(of_mirror(server), tmp_path / "out" / "it")
    assert_fetched(server, tmp_path / "out" / "it")
    assert {login for _, _, login in server.state.asked} == {None}
    server.state.asked.clear()
    downloads.fetch_pinned(of_hub("gated-maths"), tmp_path / "out" / "it")
    logins = {path.partition("/")[0]: login for path, _, login in server.state.asked}
    assert logins["datasets"] == "Bearer welcome" and logins["cdn"] is None


def test_a_zip_is_checked_and_gives_the_files_that_are_named(server, tmp_path):
    downloads.fetch_pinned(of_zip(server), tmp_path / "out" / "it")
    assert names(tmp_path / "out" / "it") == ["mathbench_v1/primary/cloze_cn.jsonl"]
    assert (tmp_path / "out/it/mathbench_v1/primary/cloze_cn.jsonl").read_text() == next(iter(ZIPPED.values()))


TRAIN = "train-00000-of-00001.parquet"


@pytest.mark.parametrize("resets", [False, True], ids=["closed", "reset"])
def test_a_broken_connection_is_gone_on_with_where_it_broke(server, tmp_path, resets):
    server.state.resets = resets
    server.state.broken["rows.csv"] = 2
    downloads.fetch_pinned(of_hub("text", ["rows.csv"]), tmp_path / "out" / "it")
    assert_fetched(server, tmp_path / "out" / "it", "text")
    begun = [int(begin[6:-1]) for path, begin, _ in server.state.asked if path.endswith("rows.csv") and begin]
    size = (tmp_path / "out/it/rows.csv").stat().st_size
    assert len(begun) == 2 and size / 4 < begun[0] <= size / 2 < begun[1] < size


def test_a_server_that_gives_no_parts_is_asked_for_the_whole(server, tmp_path):
    server.state.ranges = False
    server.state.broken[TRAIN] = 1
    downloads.fetch_pinned(of_hub(), tmp_path / "out" / "it")
    assert_fetched(server, tmp_path / "out" / "it")


@pytest.mark.parametrize("last", [COMMIT, TRAIN, "bench.zip"], ids=["description", "file", "zip"])
def test_a_server_that_is_asked_too_much_is_asked_again_later(server, tmp_path, monkeypatch, last):
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    server.state.busy[last] = 2
    source = of_zip(server) if last == "bench.zip" else of_hub()
    downloads.fetch_pinned(source, tmp_path / "out" / "it")
    assert names(tmp_path / "out" / "it")
    assert server.state.busy[last] == 0
    assert waited.count(1.0) >= 2  # Retry-After, and a second for rounding


def test_a_connection_that_breaks_again_and_again_keeps_what_came(server, tmp_path):
    """The next download continues from these bytes, even from another source."""
    name = "rows.csv"
    server.state.broken[name] = 10**6  # each connection gives half of the rest, and in the end nothing
    with refusal(f"the primary source of text, {pinned.THE_HUB}datasets/org/text,", "set `sources` to mirror"):
        downloads.fetch_pinned(of_hub("text", (name,)), tmp_path / "out" / "it")
    server.state.broken.clear()
    begun = (tmp_path / "out/it.unfinished/files/rows.csv.part").stat().st_size
    assert 0 < begun < (server.state.root / "datasets/org/text" / name).stat().st_size
    server.state.asked.clear()
    downloads.fetch_pinned(of_mirror(server, "text", (name,)), tmp_path / "out" / "it")
    assert_fetched(server, tmp_path / "out" / "it", "text")
    assert (f"datasets/org/text/resolve/{COMMIT}/{name}", f"bytes={begun}-", None) in server.state.asked


@pytest.mark.parametrize(
    ("file", "source", "kind"),
    [
        (f"datasets/org/maths/algebra/{TRAIN}", of_hub(), "sha256"),
        ("datasets/org/text/rows.csv", of_hub("text", ["rows.csv"]), "git"),
        ("files/bench.zip", None, "md5"),
    ],
    ids=["large", "small", "zip"],
)
def test_a_checksum_that_differs_is_one_sentence_and_the_file_is_gone(server, tmp_path, file, source, kind):
    source = source or of_zip(server)
    content = bytearray((server.state.root / file).read_bytes())
    content[len(content) // 2] ^= 1
    server.state.changed[file.rpartition("/")[2]] = bytes(content)
    hints = (f"has the {kind} checksum ", " states ", "the download was removed; run again, or ", source.instead)
    with pytest.raises(InputError) as refused:
        downloads.fetch_pinned(source, tmp_path / "out" / "it")
    assert "\n" not in str(refused.value)
    assert all(hint in str(refused.value) for hint in hints), str(refused.value)
    assert not (tmp_path / "out" / "it").exists()
    server.state.changed.clear()
    downloads.fetch_pinned(source, tmp_path / "out" / "it")
    assert names(tmp_path / "out" / "it")


@pytest.mark.parametrize("name", ["bench.zip", "rows.csv"])
def test_a_git_lfs_pointer_is_no_file(server, tmp_path, name):
    server.state.changed[name] = hub_server.POINTER
    source = of_zip(server) if name == "bench.zip" else of_mirror(server, "text", [name])
    address = source.address if name == "bench.zip" else f"{source.address}/resolve/{COMMIT}/{name}"
    with refusal(address, ("is a Git LFS pointer instead of the file", source.instead)):
        downloads.fetch_pinned(source, tmp_path / "out" / "it")


def test_a_file_of_another_size_is_refused_and_begun_again(server, tmp_path):
    path = server.state.root / "datasets/org/text/rows.csv"
    source = of_hub("text", ["rows.csv"])
    part = tmp_path / "out/it.unfinished/files/rows.csv.part"
    server.state.changed["rows.csv"] = path.read_bytes()[:100]
    with refusal(f"{server.address}/datasets/org/text/resolve/{COMMIT}/rows.csv",
                 ("has 100 bytes", f"states {path.stat().st_size}", "set `sources` to mirror")):  # fmt: skip
        downloads.fetch_pinned(source, tmp_path / "out" / "it")
    assert not part.exists()
    part.write_bytes(path.read_bytes() * 2)
    server.state.changed.clear()
    downloads.fetch_pinned(source, tmp_path / "out" / "it")
    assert_fetched(server, tmp_path / "out" / "it", "text")


def test_a_zip_that_is_none_or_lacks_files(server, tmp_path):
    source = of_zip(server, files=("mathbench_v1/primary/cloze_en.jsonl",))
    lacking = ("no file mathbench_v1/primary/cloze_en.jsonl", "it has mathbench_v1/primary/cloze_cn.jsonl")
    with refusal(f"the primary source of bench, {source.address},", lacking):
        downloads.fetch_pinned(source, tmp_path / "out" / "it")
    server.state.changed["bench.zip"] = b"<html>gone</html>"
    with refusal(f"the primary source of bench, {source.address},", ("not a valid zip", "run again")):
        downloads.fetch_pinned(source._replace(checksum="", version="v2"), tmp_path / "out" / "it")


def test_a_file_that_a_source_does_not_have(server, tmp_path):
    source = of_hub(files=("algebra/dev-*.parquet",))
    with refusal(f"the primary source of maths, {source.address},",
                 ("no file algebra/dev-*.parquet", "it has algebra/test-", "fix config/datasets.csv")):  # fmt: skip
        downloads.fetch_pinned(source, tmp_path / "out" / "it")


def test_a_mirror_that_is_gone_is_one_sentence_with_the_word_to_write(server, tmp_path):
    gone = of_mirror(server, "nothing")
    with refusal(f"the mirror source of nothing, {gone.address},", ("HTTP 404", "set `sources` to primary")):
        downloads.fetch_pinned(gone, tmp_path / "out" / "it")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = of_mirror(server)._replace(address=f"http://127.0.0.1:{nobody.getsockname()[1]}/datasets/org/maths")
        with refusal(
            f"the mirror source of maths, {closed.address},", ("cannot be fetched", "set `sources` to primary")
        ):
            downloads.fetch_pinned(closed, tmp_path / "out" / "it")
    server.state.down = True
    with refusal(f"the mirror source of maths, {of_mirror(server).address},", ("HTTP 503", "`sources` to primary")):
        downloads.fetch_pinned(of_mirror(server), tmp_path / "out" / "it")
    lost = of_zip(server)._replace(address=f"{server.address}/files/none.zip")
    server.state.down = False
    with refusal(f"the primary source of bench, {lost.address},", ("HTTP 404", "give local files as path")):
        downloads.fetch_pinned(lost, tmp_path / "out" / "it")


def test_a_gated_dataset_says_where_its_licence_is(server, tmp_path):
    with refusal("the dataset org/gated-maths", ("is gated", f"{server.address}/datasets/org/gated-maths", "HF_TOKEN")):
        downloads.fetch_pinned(of_hub("gated-maths"), tmp_path / "out" / "it")


def test_too_small_a_disk_is_found_before_the_first_file(server, tmp_path):
    with pytest.raises(InputError) as refused:
        downloads.fetch_pinned(of_hub("enormous"), tmp_path / "out" / "it")
    assert re.fullmatch(
        rf"the primary source of enormous, \S+, takes \d+\.\d GB, but the disk of {re.escape(str(tmp_path / 'out'))} "
        r"has \d+\.\d GB free: free space there\.",
        str(refused.value),
    )
    assert server.state.given == []


def test_the_disk_may_fill_up_on_the_way(server, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transfers, "_transfer", full)
    with refusal(
        f"the files of the primary source of maths, {of_hub().address},",
        ("cannot be written (No space left on device)", "free space on the disk"),
    ):
        downloads.fetch_pinned(of_hub(), tmp_path / "out" / "it")


@pytest.mark.slow
def test_a_killed_process_is_gone_on_with_in_the_middle_of_a_file(server, tmp_path):
    """As in the workflow, the source is the one in the file of the check."""
    checked, out = tmp_path / "hub.json", tmp_path / "out"
    checked.write_text(json.dumps([{"kind": "pinned", **of_mirror(server, "text", ("rows.csv",))._asdict()}]))
    path = server.state.root / "datasets/org/text/rows.csv"
    path.write_bytes(path.read_bytes() * 3000)  # the client writes ten megabytes at once
    server.state.halted.add("rows.csv")
    asked = {"dataset": "text", "checked": checked, "output": out / "it"}
    stopped = scripts.launch("fetch_pinned", tmp_path / "home", start=subprocess.Popen, hub=server.address, **asked)
    part = out / "it.unfinished/files/rows.csv.part"
    while not (part.is_file() and part.stat().st_size):
        assert stopped.poll() is None, stopped.stderr.read()
    stopped.kill()
    stopped.communicate()
    begun = part.stat().st_size
    assert begun < path.stat().st_size
    server.state.halted.clear()
    server.state.released.set()
    done = scripts.launch("fetch_pinned", tmp_path / "home", hub=server.address, log=tmp_path / "log.txt", **asked)
    assert done.returncode == 0, done.stderr
    *others, last = done.stderr.splitlines()
    assert last == "fetch_pinned: text: 1 of 1 files, 0.05 of 0.05 GB"
    assert all(re.fullmatch(r"fetch_pinned: text: [01] of 1 files, 0\.0\d of 0\.05 GB", line) for line in others)
    assert_fetched(server, out / "it", "text")
    assert [begin for path, begin, _ in server.state.asked if path.endswith("rows.csv")] == [None, f"bytes={begun}-"]
    assert not list((tmp_path / "home").iterdir())


def check(tmp_path, *sources):
    """Run the check for pinned sources, and read what it writes."""
    listed = [{"kind": "pinned", **source._asdict(), "output": str(tmp_path / "raw" / source.dataset)}
              for source in sources]  # fmt: skip
    hub_check.check(json.loads(json.dumps(listed)), tmp_path / "hub.json")
    return json.loads((tmp_path / "hub.json").read_text())


def test_the_check_says_everything_at_once_and_measures(server, tmp_path, monkeypatch):
    with pytest.raises(InputError) as refused:
        check(tmp_path, of_hub("gated-maths"), of_mirror(server, "nothing"), of_hub("enormous"), of_hub())
    told = str(refused.value).splitlines()
    assert_refusal(told[0], "the dataset org/gated-maths", "is gated")
    assert_refusal(told[1], f"the mirror source of nothing, {server.address}/datasets/org/nothing,", "404")
    assert told[2].startswith("what is to be downloaded takes ")
    assert len(told) == 3 and not (tmp_path / "hub.json").exists()
    found = check(tmp_path, of_hub(), of_zip(server))
    parts = (server.state.root / "datasets" / "org" / "maths").glob("*/t*.parquet")
    assert [entry["bytes"] for entry in found] == [
        sum(path.stat().st_size for path in parts),
        (server.state.root / "files" / "bench.zip").stat().st_size,
    ]
    assert hub_check.checked_source(tmp_path / "hub.json", "maths") == of_hub()
    with refusal(str(tmp_path / "hub.json"), ("no source of bank", "remove the file")):
        hub_check.checked_source(tmp_path / "hub.json", "bank")
    # The check sends no request for files that are already there.
    downloads.fetch_pinned(of_hub(), tmp_path / "raw" / "maths")
    server.state.down = True
    assert check(tmp_path, of_hub()) == found[:1]


@pytest.mark.slow
def test_hub_rows_and_pinned_files_are_the_same_rows(server, tmp_path):
    """The parquet files of a repository have the rows that the datasets library reads, in the same order."""
    card = f"---\nconfigs:\n- config_name: algebra\n  data_files: [{{split: train, path: algebra/{TRAIN}}}]\n---\n"
    (server.state.root / "datasets/org/maths/README.md").write_text(card)
    downloads.fetch_pinned(of_hub(), tmp_path / "out" / "it")
    done = scripts.launch("fetch_dataset", tmp_path / "home", hub=server.address, positional=["--hub", "org/maths"],
                          name="algebra", split="train", revision=COMMIT, output=tmp_path / "rows.parquet")  # fmt: skip
    assert done.returncode == 0, done.stderr
    pandas.testing.assert_frame_equal(
        pandas.read_parquet(tmp_path / "rows.parquet"), pandas.read_parquet(tmp_path / "out/it/algebra" / TRAIN)
    )


def test_the_workflow_fetches_what_the_table_says_and_one_word_takes_the_mirror(server, clone, tmp_path):
    """A missing source is refused before the first download; a switch of sources makes no fetched file stale."""
    folder = clone("pinned")
    rows = [["text", COMMIT, source, f"{server.address}/datasets/org/{name}", "rows.csv", "", "MIT", ""]
            for source, name in (("primary", "gone"), ("mirror", "text"))]  # fmt: skip
    with (folder / "config" / "datasets.csv").open("w", newline="") as file:
        csv.writer(file).writerows([pinned.COLUMNS, *rows])
    own = {
        "datasets": {
            "gsm8k": {
                "adapter": "generic",
                "options": {"columns": {"prompt": "question", "response": "solution"}},
                "train": [{"pinned": "text", "files": "rows.csv"}],
                "probe": [],
            }
        }
    }
    overlay = tmp_path / "overlay.yaml"
    made = "results/tiny/instructions/gsm8k/train.parquet"

    def run(sources, *arguments):
        overlay.write_text(json.dumps({**own, "sources": sources}))
        chosen = ("--cores", "2", *arguments, "--configfile", "tests/config/tiny.yaml", str(overlay))
        return snakemake(folder, made, *chosen, HF_ENDPOINT=server.address, HOME=str(tmp_path))

    answer = run("primary")
    assert answer.returncode != 0
    address = f"{server.address}/datasets/org/gone"
    assert_refusal(answer.stdout, f"the primary source of text, {address},", ("404", "set `sources` to mirror"))
    assert "rule fetch_pinned" not in answer.stdout
    answer = run("mirror")
    assert answer.returncode == 0, answer.stdout
    assert "fetch_pinned: text: 1 of 1 files" in answer.stdout
    assert len(pandas.read_parquet(folder / made)) == 1000 - 8  # without the probe set
    shutil.rmtree(server.state.root / "datasets" / "org" / "text")
    assert re.search(r"^check_hub +1$", run("primary", "-n").stdout, re.MULTILINE)
    assert not re.search(r"^(fetch_pinned|prepare_instructions) +1$", run("primary", "-n").stdout, re.MULTILINE)
    answer = run("primary")
    assert answer.returncode == 0, answer.stdout
