"""Inputs are data: no code of a model, dataset or result is run, and no file outside their folders is touched."""

import json
import os
import re
import shutil
import stat
import zipfile

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import scripts
import torch
from payloads import Payload, module, pickled

from headpatterns.attribution import files
from headpatterns.data import archives, chat, sources
from headpatterns.errors import InputError, redacted
from headpatterns.models import loading as models

ROW = {"question": "Why?", "answer": "So."}
COLUMNS = json.dumps({"columns": {"prompt": "question", "response": "answer"}})
PYTHON = "needs Python code from its folder, which is never run"


@pytest.fixture
def made(tmp_path):
    return tmp_path / "made-by-a-payload"


@pytest.fixture
def own_model(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "model")


def change(path, **values):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **values}))


def prepare(path, output, **options):
    scripts.run("prepare_instructions", dataset="toys", adapter="generic", train_files=[path], options=COLUMNS,
                probe_samples=1, seed=0, output=output, **options)  # fmt: skip


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.tsv", "rows.parquet", "rows.arrow"])
def test_a_pickle_under_the_name_of_a_data_file_is_no_data(tmp_path, made, name):
    (tmp_path / name).write_bytes(pickled(made))
    with pytest.raises(InputError, match=re.escape(name)):
        prepare(tmp_path / name, tmp_path / "out")
    assert not made.exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["rows.pkl", "rows.pickle", "rows.joblib", "rows.pt", "rows.bin", "rows.npy"])
def test_formats_that_hold_objects_are_unknown(tmp_path, made, name):
    (tmp_path / name).write_bytes(pickled(made))
    with pytest.raises(InputError, match=f"{name} has a suffix that cannot be read"):
        prepare(tmp_path / name, tmp_path / "out")
    assert not made.exists()


def test_types_of_arrow_that_are_pickled_are_not_made(tmp_path, made):
    """Versions of Arrow before 15 made such a type as soon as they read the schema."""
    about = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": pickled(made)}
    schema = pyarrow.schema([pyarrow.field(name, pyarrow.string(), metadata=about) for name in ROW])
    table = pyarrow.table({name: [f"{text} {n}" for n in range(9)] for name, text in ROW.items()}, schema=schema)
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
    prepare(tmp_path / "rows.parquet", tmp_path / "out")
    assert (tmp_path / "out" / "train.parquet").exists() and not made.exists()


def test_programs_beside_rows_are_not_run(tmp_path, made):
    folder = tmp_path / "toys"
    folder.mkdir()
    for name in ("toys.py", "__init__.py", "conftest.py"):
        (folder / name).write_text(module(made))
    (folder / "rows.jsonl").write_text("".join(json.dumps({**ROW, "question": f"Why {n}?"}) + "\n" for n in range(5)))
    prepare(folder, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "report.json").read_text())["splits"]["train"]["rows_read"] == 5
    (folder / "rows.jsonl").unlink()
    with pytest.raises(InputError, match="toys has no file of raw rows"):
        prepare(folder, tmp_path / "other")
    assert not made.exists()


def test_a_saved_dataset_names_files_beside_it_alone(tmp_path):
    (tmp_path / "secret.arrow").write_bytes(b"")
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "dataset_info.json").write_text("{}")
    for name in ("../secret.arrow", str(tmp_path / "secret.arrow"), ".."):
        (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
        with pytest.raises(InputError, match=f"names the file {re.escape(name)}, which is not in the same folder"):
            sources.expand([folder])


@pytest.mark.parametrize("content", ["object", "complex pickle"])
def test_arrays_of_objects_are_no_patterns(tmp_path, made, content):
    path = tmp_path / "step-0.samples.npy"
    if content == "object":
        np.save(path, np.array([Payload(made)], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickled(made))
    about = {"reduction": "abs_of_sum", "also": [], "signed": ["abs_of_sum"], "ids": ["a"], "losses": [1.0]}
    (tmp_path / "step-0.json").write_text(json.dumps({**about, "response_tokens": [1]}))
    with pytest.raises(InputError, match=r"step-0\.samples\.npy is not a complete NumPy array"):
        files.load_stored(files.about(tmp_path, 0))
    assert not made.exists()


def test_pickled_weights_give_tensors_or_nothing(own_model, made):
    network = models.load_model(own_model)
    (own_model / "model.safetensors").unlink()
    torch.save(network.state_dict(), own_model / "pytorch_model.bin")
    again = models.load_model(own_model)
    assert all(map(torch.equal, network.state_dict().values(), again.state_dict().values()))
    torch.save({**network.state_dict(), "more": Payload(made)}, own_model / "pytorch_model.bin")
    with pytest.raises(
        InputError, match="weights are pickled and contain more than tensors, which are never loaded; save th"
    ):
        models.load_model(own_model)
    (own_model / "pytorch_model.bin").write_bytes(pickled(made))
    with pytest.raises(InputError, match="cannot be loaded"):
        models.load_model(own_model)
    assert not made.exists()


def with_program(folder, made, **auto_map):
    for name in ("modeling_own", "configuration_own", "tokenization_own"):
        (folder / f"{name}.py").write_text(module(made))
    change(folder / "config.json", auto_map=auto_map)


AUTO_MAP = {"AutoConfig": "configuration_own.OwnConfig", "AutoModelForCausalLM": "modeling_own.OwnModel"}


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["", "y\n" * 9])
def test_a_model_with_a_program_of_its_own_is_refused(own_model, made, tmp_path, answer):
    """The answer on standard input does not matter. Without the refusal, transformers asks there whether to run it."""
    with_program(own_model, made, **AUTO_MAP)
    change(own_model / "config.json", model_type="own")
    (tmp_path / "rows.jsonl").write_text(json.dumps({"prompt": "a", "response": " b"}) + "\n")

    def start(*command, **options):
        return scripts.subprocess.run(*command, input=answer, **options)

    given = {"model": own_model, "data": tmp_path / "rows.jsonl", "output": tmp_path / "o.npy"}
    done = scripts.launch("extract_patterns", tmp_path / "home", start, **given)
    assert done.returncode == 2 and PYTHON in done.stderr and "Traceback" not in done.stderr
    assert not made.exists()


def test_a_program_beside_a_model_that_is_known_is_left_alone(own_model, made):
    with_program(own_model, made, **AUTO_MAP)
    (own_model / "custom_generate").mkdir()
    (own_model / "custom_generate" / "generate.py").write_text(module(made))
    loaded = models.load_model(own_model)
    assert type(loaded).__module__.startswith("transformers.models.llama") and not made.exists()


def test_a_tokenizer_with_a_program_of_its_own_is_refused(own_model, made):
    with_program(own_model, made)
    change(own_model / "tokenizer_config.json", tokenizer_class="OwnTokenizer",
           auto_map={"AutoTokenizer": ["tokenization_own.OwnTokenizer", "tokenization_own.OwnTokenizer"]})  # fmt: skip
    with pytest.raises(InputError, match=f"no tokenizer can be loaded from .*: it {PYTHON}"):
        models.load_tokenizer(own_model)
    assert not made.exists()


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "_attn_implementation_internal"])
def test_a_config_does_not_choose_a_kernel_of_the_hub(own_model, key):
    change(own_model / "config.json", **{key: "someone/attention"})
    try:
        loaded = models.load_model(own_model)
    except InputError:
        return
    assert "/" not in loaded.config._attn_implementation


CHAT = (
    "{{% set x = ''.__class__.__mro__[1].__subclasses__() %}}{{{{ cycler.__init__.__globals__.os.mknod({made!r}) }}}}"
)


def test_a_chat_template_is_run_in_the_sandbox_alone(own_model, made):
    change(own_model / "tokenizer_config.json", chat_template=CHAT.format(made=str(made)))
    tokenizer = models.load_tokenizer(own_model)
    assert tokenizer("x")["input_ids"] and not made.exists()
    with pytest.raises(InputError, match=r"fails on sample 'x'.*unsafe"):
        chat.printed(tokenizer, "x", [{"role": "user", "content": "x"}])
    assert not made.exists()


def test_a_prompt_template_is_text(tmp_path):
    template = "{{ ''.__class__ }} {0.__class__} {instruction.__class__} %s $(id) `id` {instruction} {% raw %}"
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({**ROW, "question": f"{n}"}) + "\n" for n in range(3)))
    prepare(tmp_path / "rows.jsonl", tmp_path / "out", template=template)
    found = pyarrow.parquet.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    number = found[0]["id"].rpartition("-")[2]
    assert found[0]["prompt"] == template.replace("{instruction}", str(int(number) - 1))


def archive(path, members):
    with zipfile.ZipFile(path, "w") as opened:
        for name, mode, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            opened.writestr(info, content)
    return zipfile.ZipFile(path)


@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("../out.jsonl", 0o100644, "whose path leads out of the archive"),
        ("a/../../out.jsonl", 0o100644, "whose path leads out of the archive"),
        ("/tmp/out.jsonl", 0o100644, "whose path leads out of the archive"),
        ("..\\out.jsonl", 0o100644, "whose path leads out of the archive"),
        ("C:\\out.jsonl", 0o100644, "whose path leads out of the archive"),
        ("link.jsonl", stat.S_IFLNK | 0o777, "is not a plain file"),
        ("pipe.jsonl", stat.S_IFIFO | 0o644, "is not a plain file"),
        ("device.jsonl", stat.S_IFCHR | 0o644, "is not a plain file"),
    ],
)
def test_members_of_an_archive_stay_in_their_folder(tmp_path, name, mode, said):
    with archive(tmp_path / "a.zip", [("good.jsonl", 0o100644, "{}"), (name, mode, "/etc/passwd")]) as opened:
        with pytest.raises(InputError, match=said):
            archives.extract(opened, opened.namelist(), tmp_path / "out" / "folder", "the zip")
        archives.extract(opened, ["good.jsonl"], tmp_path / "out" / "folder", "the zip")
    below = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(below) == ["a.zip", "out/folder/good.jsonl"]


def test_an_archive_that_is_larger_than_the_disk_is_refused_by_what_it_says(tmp_path):
    with archive(tmp_path / "a.zip", [("rows.jsonl", 0o100644, "{}")]) as opened:
        opened.getinfo("rows.jsonl").file_size = 10**18
        with pytest.raises(InputError, match=r"unpacks to 1000000000\.0 GB, but the disk of"):
            archives.extract(opened, opened.namelist(), tmp_path / "out", "the zip")
    assert not list((tmp_path / "out").iterdir())


def test_logins_are_not_said(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a-token-of-mine")
    said = "https://me:word@hub.example/x?token=a-token-of-mine failed for hf_abcdefghijklmnopqrst at http://hub.example/@y"
    assert redacted(said) == "https://***@hub.example/x?token=*** failed for *** at http://hub.example/@y"


def test_no_login_in_what_a_failed_download_leaves(tmp_path):
    token = "hf_" + "x" * 34
    asked = {"positional": ["--hub", "org/model"], "revision": "0" * 40, "output": tmp_path / "out" / "model"}
    hub = "http://me:password-of-mine@127.0.0.1:9"
    done = scripts.launch(
        "fetch_model", tmp_path / "home", hub=hub, token=token, log=tmp_path / "out" / "log.txt", **asked
    )
    assert done.returncode == 2 and "cannot be reached" in done.stderr
    written = [path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert written and os.path.lexists(tmp_path / "out" / "log.txt")
    for text in (done.stdout, done.stderr, *written):
        assert token not in text and "password-of-mine" not in text
