"""The command line of extract_patterns.py as it is documented, on a tiny model and on a real one."""

import dataclasses
import functools
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import safetensors.torch
import scripts
import torch
import transformers
from test_tokenization import write_instructions
from tiny_models import VOCABULARY, build

from headpatterns import provenance
from headpatterns.attribution import activation_patterns, extract, extraction, files, memory, passes
from headpatterns.attribution.parts import Parts
from headpatterns.attribution.probes import Probed
from headpatterns.data import samples
from headpatterns.errors import InputError, Interrupted
from headpatterns.models import loading as models
from headpatterns.processes import group as processes

REDUCTIONS = ("abs_of_sum", "sum_of_abs", "abs_per_position")
RECIPE = {"learning_rate": 1e-3, "per_device_batch_size": 4, "global_batch_size": 4}


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def data(rows, tmp_path):
    return write_jsonl(tmp_path / "probe.jsonl", rows)


def expected(model_folder, rows, reduction="abs_of_sum", max_length=1024):
    """Patterns [N, L, H], computed one sample at a time."""
    tokenizer, model = models.load_tokenizer(model_folder), models.load_model(model_folder)
    tokenized, _ = samples.tokenized(tokenizer, rows, max_length, "rows", skip=False)
    return np.concatenate([activation_patterns(model, [one], reduction=reduction).values for one in tokenized])


def assert_close(found, wanted, tolerance=1e-5):
    """Equal within `tolerance` of each layer's largest value."""
    scale = np.abs(wanted).max(axis=(0, 2), keepdims=True)
    assert (scale > 0).all()
    assert (np.abs(found - wanted) <= tolerance * scale).all()


# What it writes -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_as_a_user_runs_it(model_folder, data, rows, tmp_path):
    """A separate process in an empty folder writes only to the given output."""
    output = tmp_path / "deep" / "OUT.npy"
    done = scripts.launch(
        "extract_patterns",
        tmp_path / "home",
        model=model_folder,
        data=data,
        output=output,
        reduction="abs_of_sum",
        max_length=1024,
        token_budget=500,
        device="cpu",
        dtype="float32",
    )
    assert done.returncode == 0, done.stderr
    assert "forked" not in done.stderr and "Warning" not in done.stderr
    assert sorted(path.name for path in output.parent.iterdir()) == ["OUT.json", "OUT.npy", "OUT.samples.npy"]
    assert not list((tmp_path / "home").iterdir())
    mean, values = np.load(output), np.load(output.with_suffix(".samples.npy"))
    assert (mean.shape, mean.dtype) == ((3, 6), np.float32)
    assert (values.shape, values.dtype) == ((len(rows), 3, 6), np.float32)
    np.testing.assert_allclose(mean, np.abs(values).mean(axis=0), rtol=1e-6)
    assert (values < 0).any()
    assert_close(np.abs(values), expected(model_folder, rows))


def test_what_the_json_says(model_folder, data, rows, tmp_path):
    scripts.run("extract_patterns", model=model_folder, data=data, output=tmp_path / "out.npy", max_length=33)
    about = json.loads((tmp_path / "out.json").read_text())
    tokenizer = models.load_tokenizer(model_folder)
    tokenized = [one for row in rows for one in samples.tokenized(tokenizer, [row], 33, data, skip=False)[0]]
    truncated = [one for one in tokenized if one.truncated]
    assert 0 < len(truncated) < len(tokenized)
    assert about["ids"] == [row["id"] for row in rows]
    assert about["samples"] == len(rows) and about["skipped"] == []
    assert about["truncated"] == len(truncated)
    assert about["straddling"] == 0
    assert about["tokens"] == sum(len(one.input_ids) for one in tokenized)
    assert about["response_tokens"] == [one.response_tokens for one in tokenized]
    assert about["response_tokens_in_all"] == sum(about["response_tokens"])
    assert (about["layers"], about["heads"]) == (3, 6)
    assert about["model"] == str(model_folder) and about["data"] == str(data)
    assert about["data_sha256"] == samples.digest(data)
    assert (about["reduction"], about["also"], about["signed"]) == ("abs_of_sum", [], ["abs_of_sum"])
    assert (about["dtype"], about["device"]) == ("float32", "cpu")
    assert about["versions"]["torch"].startswith(torch.__version__.split("+")[0])
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", about["commit"])
    assert about["seconds"] > 0
    model = models.load_model(model_folder)
    for one, loss in zip(tokenized, about["losses"], strict=True):
        with torch.no_grad():
            wanted = model(input_ids=torch.tensor([one.input_ids]), labels=torch.tensor([one.labels])).loss.item()
        assert loss == pytest.approx(wanted, rel=1e-5)


def test_parquet_gives_the_patterns_of_jsonl(model_folder, data, rows, tmp_path):
    """Rows with the workflow's other columns, and rows without ids."""
    full = [{**row, "tags": ["x"], "choices": [], "answer": ""} for row in rows]
    nameless = [{"prompt": row["prompt"], "response": row["response"]} for row in rows]
    sources = {
        "jsonl": data,
        "parquet": write_instructions(tmp_path / "probe.parquet", full),
        "nameless": write_jsonl(tmp_path / "nameless.jsonl", nameless),
        "nulls": write_instructions(tmp_path / "nulls.parquet", [{**row, "id": None} for row in nameless]),
    }
    found = {}
    for name, source in sources.items():
        scripts.run("extract_patterns", model=model_folder, data=source, output=tmp_path / name / "out.npy")
        found[name] = np.load(tmp_path / name / "out.samples.npy")
        np.testing.assert_array_equal(found[name], found["jsonl"])
    ids = {name: json.loads((tmp_path / name / "out.json").read_text())["ids"] for name in sources}
    assert ids["parquet"] == ids["jsonl"] == [row["id"] for row in rows]
    assert ids["nameless"] == ids["nulls"] == [str(number) for number in range(1, len(rows) + 1)]


def test_rows_keep_the_order_of_the_file(model_folder, rows, tmp_path):
    order = random.Random(3).sample(range(len(rows)), len(rows))
    shuffled = [rows[place] for place in order]
    for name, content in {"straight": rows, "shuffled": shuffled}.items():
        scripts.run(
            "extract_patterns",
            model=model_folder,
            data=write_jsonl(tmp_path / f"{name}.jsonl", content),
            output=tmp_path / f"{name}.npy",
            token_budget=150,
        )
    straight, permuted = (np.load(tmp_path / f"{name}.samples.npy") for name in ("straight", "shuffled"))
    assert_close(permuted, straight[order])
    assert np.abs(permuted - straight).max() > 0.01 * np.abs(straight).max()
    assert json.loads((tmp_path / "shuffled.json").read_text())["ids"] == [row["id"] for row in shuffled]


def test_running_twice_gives_the_same_arrays(model_folder, data, tmp_path):
    for _ in range(2):
        scripts.run("extract_patterns", model=model_folder, data=data, output=tmp_path / "out.npy")
        found = (tmp_path / "out.npy").read_bytes(), (tmp_path / "out.samples.npy").read_bytes()
    scripts.run("extract_patterns", model=model_folder, data=data, output=tmp_path / "again.npy")
    assert found == ((tmp_path / "again.npy").read_bytes(), (tmp_path / "again.samples.npy").read_bytes())


def test_bfloat16_is_close_to_float32(model_folder, data, tmp_path):
    for dtype in ("float32", "bfloat16"):
        scripts.run("extract_patterns", model=model_folder, data=data, output=tmp_path / f"{dtype}.npy", dtype=dtype)
    exact, rough = (np.load(tmp_path / f"{dtype}.npy") for dtype in ("float32", "bfloat16"))
    assert rough.dtype == np.float32
    assert not np.array_equal(exact, rough)
    assert np.corrcoef(exact.ravel(), rough.ravel())[0, 1] > 0.95
    assert json.loads((tmp_path / "bfloat16.json").read_text())["dtype"] == "bfloat16"


# A run ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_gives_the_model_before_it_and_every_checkpoint(model_folder, data, rows, tokenizer_folder, tmp_path):
    shards = tmp_path / "tokenized" / "sums" / "train"
    instructions = write_instructions(tmp_path / "sums.parquet", rows)
    scripts.run(
        "tokenize_instructions", model=tokenizer_folder, instructions=instructions, max_length=256, output=shards
    )
    scripts.run("cut_training_set", tokenized=shards, seed=0, output=tmp_path / "set.csv")
    scripts.run(
        "finetune",
        model=model_folder,
        training_set=tmp_path / "set.csv",
        tokenized=shards,
        output=tmp_path / "run",
        recipe=json.dumps({**RECIPE, "max_steps": 5, "checkpoint_steps": [1, 3]}),
    )
    folder = tmp_path / "patterns" / "sums"
    for _ in range(2):  # the second time replaces the folder
        scripts.run("extract_patterns", model=model_folder, run=tmp_path / "run", data=data, output_folder=folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"step-{step}{suffix}" for step in (0, 1, 3, 5) for suffix in (".npy", ".samples.npy", ".json")
    )
    assert [path.name for path in folder.parent.iterdir()] == ["sums"]
    scripts.run("extract_patterns", model=model_folder, data=data, output=tmp_path / "base.npy")
    for suffix in (".npy", ".samples.npy"):
        assert (folder / f"step-0{suffix}").read_bytes() == (tmp_path / f"base{suffix}").read_bytes()
    checkpoint = tmp_path / "run" / "intermediate" / "step-3"
    assert_close(np.abs(np.load(folder / "step-3.samples.npy")), expected(checkpoint, rows))
    assert_close(np.abs(np.load(folder / "step-5.samples.npy")), expected(tmp_path / "run" / "final", rows))
    patterns = [np.load(folder / f"step-{step}.npy") for step in (0, 1, 3, 5)]
    assert len({pattern.tobytes() for pattern in patterns}) >= 3  # the first step is a warm-up with learning rate zero
    about = json.loads((folder / "step-3.json").read_text())
    assert about["step"] == 3 and about["model"] == str(checkpoint)

    # An interruption at the last checkpoint keeps the earlier patterns, but only for the same options.
    again = {"model": model_folder, "run": tmp_path / "run", "data": data, "output_folder": folder.parent / "again"}
    weights = tmp_path / "run" / "final" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    with pytest.raises(InputError, match="final"):
        scripts.run("extract_patterns", **again)
    kept = folder.parent / "again.unfinished" / "step-3.json"
    before = kept.read_bytes()
    weights.write_bytes(whole)
    scripts.run("extract_patterns", **again)
    assert [path.name for path in sorted(folder.parent.iterdir())] == ["again", "sums"]
    assert (folder.parent / "again" / "step-3.json").read_bytes() == before
    for file in folder.glob("*.npy"):
        assert (folder.parent / "again" / file.name).read_bytes() == file.read_bytes()
    weights.write_bytes(whole[:100])
    for reduction in ("abs_of_sum", "sum_of_abs"):
        with pytest.raises(InputError, match="final"):
            scripts.run("extract_patterns", **again, reduction=reduction)
        assert json.loads(kept.read_text())["reduction"] == reduction


@pytest.fixture(scope="module")
def two_runs(model_folder, tokenizer_folder, rows, tmp_path_factory):
    """Two runs of one model; the training set of the second is a part of the first's."""
    folder = tmp_path_factory.mktemp("two")
    shards = folder / "tokenized" / "sums" / "train"
    instructions = write_instructions(folder / "sums.parquet", rows)
    scripts.run(
        "tokenize_instructions", model=tokenizer_folder, instructions=instructions, max_length=256, output=shards
    )
    scripts.run("cut_training_set", tokenized=shards, seed=0, output=folder / "all.csv")
    lines = (folder / "all.csv").read_text().splitlines(keepends=True)
    (folder / "part.csv").write_text("".join(lines[:6]))
    scripts.run(
        "finetune",
        model=model_folder,
        training_set=[folder / "all.csv", folder / "part.csv"],
        tokenized=shards,
        output=[folder / "one", folder / "two"],
        recipe=json.dumps({**RECIPE, "max_steps": 2}),
    )
    return folder


def test_runs_that_share_a_job_have_the_patterns_of_jobs_of_their_own(two_runs, model_folder, data, tmp_path):
    runs = [two_runs / "one", two_runs / "two", two_runs / "two"]
    among = ["all", "all", two_runs / "part.csv"]
    shared = [tmp_path / "shared" / name for name in ("one", "two", "two-own")]
    options = {"model": model_folder, "also": ["sum_of_abs"]}
    scripts.run("extract_patterns", **options, run=runs, data=[data] * 3, among=among, output_folder=shared)
    for run, ids, folder in zip(runs, among, shared, strict=True):
        alone = tmp_path / "alone" / folder.name
        scripts.run("extract_patterns", **options, run=run, data=data, among=ids, output_folder=alone)
        files = {path.name: path.read_bytes() for path in alone.glob("*.npy")}
        assert files == {path.name: path.read_bytes() for path in folder.glob("*.npy")}
        assert len(files) == 6
    chosen = [line.split(",")[1] for line in (two_runs / "part.csv").read_text().splitlines()[1:]]
    about = json.loads((shared[2] / "step-2.json").read_text())
    assert sorted(about["ids"]) == sorted(chosen)
    # The two runs with the same probe set share one extraction of the base model.
    first, second, own = (json.loads((folder / "step-0.json").read_text()) for folder in shared)
    assert first == second != own
    places = [json.loads((shared[1] / "step-2.json").read_text())["ids"].index(id) for id in about["ids"]]
    whole = np.load(shared[1] / "step-2.samples.npy")[places]
    assert_close(np.load(shared[2] / "step-2.samples.npy"), whole)


def test_a_training_set_that_does_not_fit_the_rows_is_refused(two_runs, refused, tmp_path):
    chosen = tmp_path / "set.csv"
    options = {"output": None, "run": two_runs / "two", "output_folder": tmp_path / "x"}
    chosen.write_text("dataset,id\nsums,nobody\n")
    sentence = refused(**options, among=chosen)
    assert re.search(r"set.csv lists the sample 'nobody', which .*probe.jsonl lacks", sentence)
    chosen.write_text("dataset,id\n")
    assert "set.csv lists no sample" in refused(**options, among=chosen)
    assert "give as many --data" in refused(**options, among=["all", "all"])


def test_a_folder_that_is_no_run_leaves_nothing_behind(model_folder, data, tmp_path, capfd, monkeypatch):
    sentence = scripts.refused(
        capfd,
        monkeypatch,
        "extract_patterns",
        model=model_folder,
        data=data,
        run=tmp_path / "nowhere",
        output_folder=tmp_path / "out",
    )
    assert "nowhere has no run.json" in sentence
    assert [path.name for path in tmp_path.iterdir()] == ["probe.jsonl"]


# Interrupted, and shared ----------------------------------------------------------------------------------------------

LAUNCHER = ["--standalone", "--nproc-per-node", "2", str(scripts.FOLDER / "extract_patterns.py")]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Samples for extractions with one sample per batch."""
    draw = random.Random(0)
    terms = [(draw.randrange(10**5), draw.randrange(10**5)) for _ in range(200)]
    rows = [{"id": f"{a}+{b}", "prompt": f"{a} plus {b}? ", "response": f"{a + b}."} for a, b in terms]
    return write_jsonl(tmp_path_factory.mktemp("many") / "many.jsonl", rows)


def stop(process, parts, number):
    """Send the signal after twenty parts are written; return the exit status and the last line of output."""
    end = time.monotonic() + 120
    while len(list(parts.glob("[0-9]*.npz"))) < 20:
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    return process.returncode, said.splitlines()[-1]


def arrays(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.npy")}


def first_count(capsys, **options):
    """The number of samples that are done after the first batch of an extraction in this process."""
    capsys.readouterr()
    scripts.run("extract_patterns", **options)
    return int(re.search(r" (\d+)/\d+ samples", capsys.readouterr().out)[1])


@pytest.fixture
def signalling(monkeypatch):
    """A function that sends SIGTERM to this process after each call of a function of a module."""

    def after(module, name):
        called = getattr(module, name)

        def signalled(*given, **options):
            answer = called(*given, **options)
            os.kill(os.getpid(), signal.SIGTERM)
            return answer

        monkeypatch.setattr(module, name, signalled)

    return after


@pytest.mark.parametrize("left", [0, 1])
def test_a_signal_is_obeyed_where_no_batch_follows(signalling, model_folder, data, rows, tmp_path, left):
    """The signal comes after the last batch of a first extraction, or of one that has nothing left to do."""
    options = {"model": model_folder, "data": data, "output": tmp_path / "out.npy"}
    said = f"interrupted by SIGTERM: {len(rows)} samples of .* are kept: run the same command again to continue"
    with pytest.MonkeyPatch.context() as patched:
        earlier = signal.getsignal(signal.SIGTERM)
        if left == 0:
            patched.setattr(files, "write", fail)
            with pytest.raises(OSError, match="full"):
                scripts.run("extract_patterns", **options)
        signalling(extraction, "extract")
        with pytest.raises(Interrupted, match=said):
            scripts.run("extract_patterns", **options)
        assert signal.getsignal(signal.SIGTERM) == earlier
    assert not (tmp_path / "out.json").exists()


def fail(*given):
    raise OSError("the disk is full")


def test_a_signal_while_the_budget_is_sought_is_obeyed_before_the_first_batch(signalling, model_folder, data, tmp_path):
    signalling(memory, "token_budget")
    with pytest.raises(Interrupted, match=r"interrupted by SIGTERM: 0 samples of .* are kept"):
        scripts.run("extract_patterns", model=model_folder, data=data, output=tmp_path / "out.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["probe.jsonl"]


def poisoned(model_folder, data, rows, folder):
    """A model that overflows at one token; only an added sample has it, which is the last and the shortest."""
    tokenizer = models.load_tokenizer(model_folder)
    write_jsonl(data, [*rows, {"id": "rare", "prompt": "?", "response": "~"}])
    token = tokenizer("~", add_special_tokens=False)["input_ids"][-1]
    assert not any(token in tokenizer(row["prompt"] + row["response"])["input_ids"] for row in rows)
    return copy_of(model_folder, folder, functools.partial(overflow, token))


def overflow(token, tensors):
    """Give only one token a first channel that is too large for its MLP: weights are finite, the loss is not."""
    for name, tensor in tensors.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            tensor[0] = 0
    tensors["model.embed_tokens.weight"][:, 0] = 0
    tensors["model.embed_tokens.weight"][token, 0] = 1
    for name in ("gate_proj", "up_proj"):
        tensors[f"model.layers.0.mlp.{name}.weight"][:, 0] = 3e38


def test_what_is_finished_outlasts_a_failure(refused, model_folder, data, rows, tmp_path):
    folder = poisoned(model_folder, data, rows, tmp_path / "model")
    assert "the loss of sample 'rare' is nan" in refused(model=folder, token_budget=1)
    kept = Parts(tmp_path / "out.npy.unfinished" / "parts", 60)
    assert kept.done == set(range(len(rows)))


def test_an_extraction_goes_on_with_another_budget(model_folder, data, rows, tmp_path, monkeypatch, capsys):
    options = {"model": model_folder, "data": data}
    scripts.run("extract_patterns", **options, output=tmp_path / "whole.npy", token_budget=1)
    run, calls = passes.backward, []

    def failing(*given):
        calls.append(given)
        if len(calls) == 2 + 4:  # after the two passes that test dependence on the batch
            raise RuntimeError("the machine is gone")
        return run(*given)

    with monkeypatch.context() as patched:
        patched.setattr(passes, "backward", failing)
        with pytest.raises(RuntimeError, match="gone"):
            scripts.run("extract_patterns", **options, output=tmp_path / "out.npy", token_budget=110)
    done = len(Parts(tmp_path / "out.npy.unfinished" / "parts", 60).done)
    assert 3 < done < len(rows)
    capsys.readouterr()
    scripts.run("extract_patterns", **options, output=tmp_path / "out.npy", token_budget=1, threads=2)
    assert len(re.findall(r" \d+/\d+ samples", capsys.readouterr().out)) == len(rows) - done
    assert_close(np.load(tmp_path / "out.samples.npy"), np.load(tmp_path / "whole.samples.npy"))
    assert not (tmp_path / "out.npy.unfinished").exists()


@pytest.mark.parametrize("indices", [[0, 1, 1], [0, 2], [1, 2]])
def test_parts_that_overlap_or_lack_a_sample_are_refused(tmp_path, indices):
    kept = Parts(tmp_path, 0)
    for index in indices:
        kept.keep([index], np.zeros((1, 1, 2, 3), np.float32), np.zeros(1))
    with pytest.raises(
        InputError, match="does not have each of the 3 samples exactly once: remove that folder and extract again"
    ):
        kept.together(3)


def test_an_output_has_one_extraction_at_a_time(refused, tmp_path):
    with processes.exclusive_lock(tmp_path / "out.npy.unfinished.lock", "out.npy", "extracting"):
        assert "another program is extracting" in refused()


def test_to_whom_finished_samples_belong(monkeypatch):
    usual = extract.Settings(
        model=Path("model"),
        reduction="abs_of_sum",
        also=[],
        max_length=99,
        skip_truncated=True,
        token_budget="auto",
        device="cuda:0",
        devices=1,
        dtype="float32",
        threads=1,
        save_seconds=60,
    )

    def identity(**changes):
        return extract.identity(Probed([], {"data_sha256": "0"}), dataclasses.replace(usual, **changes))

    own = identity()
    assert own == identity(threads=2) == identity(device="cuda:1") == identity(device="cuda")
    changes = ({"device": "cpu"}, {"dtype": "bfloat16"}, {"max_length": 9}, {"reduction": "sum_of_abs"},
               {"also": ["sum_of_abs"]})  # fmt: skip
    assert len({own, *(identity(**changed) for changed in changes)}) == 6
    monkeypatch.setattr(provenance, "versions", lambda: {"torch": "1.0"})
    assert identity() != own


def test_the_json_says_which_budget_was_taken(model_folder, data, tmp_path):
    for wanted in ("auto", 200):
        scripts.run("extract_patterns", model=model_folder, data=data, output=tmp_path / "out.npy", token_budget=wanted)
        taken = json.loads((tmp_path / "out.json").read_text())["token_budget"]
        assert taken == wanted if wanted != "auto" else taken in [2**power for power in range(12)]


@pytest.mark.slow
def test_a_killed_extraction_goes_on_with_what_is_missing(model_folder, many, tmp_path, capsys):
    options = {"model": model_folder, "data": many, "token_budget": 1}
    output = tmp_path / "killed" / "out.npy"
    saving = {**options, "output": output, "save_seconds": 0}
    process = scripts.launch("extract_patterns", tmp_path / "home", subprocess.Popen, **saving)
    unfinished = output.parent / "out.npy.unfinished"
    assert stop(process, unfinished / "parts", signal.SIGKILL)[0] == -signal.SIGKILL
    kept = len(list((unfinished / "parts").glob("[0-9]*.npz")))
    assert 20 <= kept < 200
    left = shutil.copytree(unfinished, tmp_path / "left")
    assert first_count(capsys, **options, output=output) == kept + 1
    assert [path.name for path in sorted(output.parent.iterdir())] == ["out.json", "out.npy", "out.samples.npy"]
    scripts.run("extract_patterns", **options, output=tmp_path / "undisturbed" / "out.npy")
    assert arrays(output.parent) == arrays(tmp_path / "undisturbed")
    assert len(arrays(output.parent)) == 2
    losses = [json.loads((tmp_path / name / "out.json").read_text())["losses"] for name in ("killed", "undisturbed")]
    assert losses[0] == losses[1]

    # An extraction with other options starts over. A part that a power cut has broken counts as missing.
    few = write_jsonl(tmp_path / "few.jsonl", [json.loads(line) for line in many.read_text().splitlines()[:18]])
    for number, changed in enumerate(({"reduction": "abs_per_position"}, {"dtype": "bfloat16"}, {"max_length": 100})):
        shutil.copytree(left, tmp_path / str(number) / "out.npy.unfinished")
        again = {**options, **changed, "data": few, "output": tmp_path / str(number) / "out.npy"}
        assert first_count(capsys, **again) == 1
    broken = sorted((left / "parts").glob("[0-9]*.npz"))[0]
    broken.write_bytes(broken.read_bytes()[:100])
    left.rename(tmp_path / "out.npy.unfinished")
    assert first_count(capsys, **options, output=tmp_path / "out.npy") == kept
    assert arrays(tmp_path) == arrays(tmp_path / "undisturbed")


@pytest.mark.slow
def test_processes_that_share_the_samples_stop_and_go_on_together(two_runs, model_folder, many, tmp_path):
    """After SIGTERM to the launcher, each process keeps its samples; together they give the result of one process."""
    options = {"model": model_folder, "run": two_runs / "one", "data": many, "token_budget": 1}
    output = tmp_path / "shared" / "sums"
    shared = {"positional": LAUNCHER, **options, "output_folder": output, "devices": 2, "save_seconds": 0}
    process = scripts.launch("launch", tmp_path / "home", subprocess.Popen, **shared)
    parts = output.with_name("sums.unfinished") / "step-0.parts"
    status, said = stop(process, parts, signal.SIGTERM)
    assert status == 128 + signal.SIGTERM
    assert re.fullmatch(
        r"extract_patterns: interrupted by SIGTERM: \d+ samples of .* are kept: run the same command again .*", said
    )
    kept = len(list(parts.glob("[0-9]*.npz")))
    assert 20 <= kept < 200
    done = scripts.launch("launch", tmp_path / "home", **shared)
    assert done.returncode == 0, done.stderr
    counted = [int(number) for number in re.findall(rf"process \d, {model_folder}: (\d+)/200", done.stdout)]
    assert len(counted) == 200 - kept
    assert [path.name for path in output.parent.iterdir()] == ["sums"]
    scripts.run("extract_patterns", **options, output_folder=tmp_path / "alone")
    assert arrays(output) == arrays(tmp_path / "alone")
    assert len(arrays(output)) == 4
    assert json.loads((output / "step-2.json").read_text())["devices"] == 2


@pytest.mark.slow
def test_a_process_that_fails_ends_the_others_with_its_sentence(model_folder, data, rows, tmp_path):
    folder = poisoned(model_folder, data, rows, tmp_path / "model")
    options = {"model": folder, "data": data, "output": tmp_path / "out.npy", "devices": 2, "token_budget": 1}
    done = scripts.launch("launch", tmp_path / "home", positional=LAUNCHER, **options)
    assert done.returncode == 2, done.stderr
    said = done.stderr.splitlines()[-1]
    assert said.startswith("extract_patterns: the loss of sample 'rare' is nan: the checkpoint or its precision")
    assert {path.name for path in tmp_path.glob("out*")} <= {"out.npy.unfinished"}


def test_processes_that_are_not_there_are_refused(refused):
    wanted = "--devices is 2, but 1 process was started: start this under workflow_scripts/launch.py"
    assert wanted in refused(devices=2)
    assert "--devices is 0: give 1 or more" in refused(devices=0)
    for wrong in ("0", "-3", "2.5", "many"):
        assert f"--token-budget is {wrong}: give a whole number of 1 or more, or auto" in refused(token_budget=wrong)


# A real model ---------------------------------------------------------------------------------------------------------


def eager(model, tokenizer, row, reduction):
    """One sample's pattern [L, H], directly from the attention matrices and their gradients."""
    prompt = tokenizer(row["prompt"])["input_ids"]
    text = tokenizer(row["prompt"] + row["response"])["input_ids"]
    assert text[: len(prompt)] == prompt
    response = [*text[len(prompt) :], tokenizer.eos_token_id]
    result = model(input_ids=torch.tensor([prompt + response]), output_attentions=True)
    for attention in result.attentions:
        attention.retain_grad()
    predicted = result.logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    loss = -predicted[range(len(response)), response].mean()
    loss.backward()
    products = [attention[0].double() * attention.grad[0].double() for attention in result.attentions]
    rules = {
        "abs_of_sum": lambda product: product.sum((1, 2)).abs(),
        "sum_of_abs": lambda product: product.abs().sum((1, 2)),
        "abs_per_position": lambda product: product.sum(2).abs().sum(1),
    }
    return np.stack([rules[reduction](product).detach().numpy() for product in products])


@pytest.fixture(scope="module")
def stories(real, tmp_path_factory):
    """A pretrained Llama, six rows of GSM8K with very different lengths, and their file."""
    lines = (real / "realdata" / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines[:60]]
    rows = [{"prompt": row["question"], "response": row["answer"]} for row in rows]
    rows = sorted(rows, key=lambda row: len(row["prompt"] + row["response"]))[:54:10]
    rows = [rows[place] for place in (3, 0, 5, 1, 4, 2)]
    path = write_jsonl(tmp_path_factory.mktemp("real") / "gsm8k.jsonl", rows)
    return real / "realmodels" / "stories260K", rows, path


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_real_model_on_real_rows_equals_eager_attention(stories, tmp_path, reduction):
    folder, rows, data = stories
    scripts.run(
        "extract_patterns", model=folder, data=data, output=tmp_path / "out.npy", reduction=reduction, token_budget=1500
    )
    found = np.abs(np.load(tmp_path / "out.samples.npy"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    wanted = np.stack([eager(model, tokenizer, row, reduction) for row in rows])
    assert found.shape == wanted.shape == (6, 5, 8)
    error = np.abs(found - wanted).max(axis=2) / np.abs(wanted).max(axis=2)
    assert error.max() <= 1e-5
    mean = wanted.mean(axis=0)
    assert (np.abs(np.load(tmp_path / "out.npy") - mean).max(axis=1) / mean.max(axis=1)).max() <= 1e-5


def test_a_real_model_in_bfloat16(stories, tmp_path):
    folder, _, data = stories
    for dtype in ("float32", "bfloat16"):
        scripts.run("extract_patterns", model=folder, data=data, output=tmp_path / f"{dtype}.npy", dtype=dtype)
    exact, rough = (np.load(tmp_path / f"{dtype}.npy") for dtype in ("float32", "bfloat16"))
    assert np.corrcoef(exact.ravel(), rough.ravel())[0, 1] > 0.9


# What it refuses ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_wrong_command_exits_with_2_and_one_sentence(tmp_path):
    """The only test of a refusal in a separate process; the others use the same command line in this process."""
    done = scripts.launch("extract_patterns", tmp_path / "home", model="nowhere", data="x.jsonl", output="out.npy")
    assert done.returncode == 2
    assert (
        done.stderr
        == "extract_patterns: the model folder nowhere does not exist: give a folder in Hugging Face layout.\n"
    )
    assert not list((tmp_path / "home").iterdir())


@pytest.fixture
def refused(model_folder, data, tmp_path, capfd, monkeypatch):
    def call(**options):
        given = {"model": model_folder, "data": data, "output": tmp_path / "out.npy", **options}
        sentence = scripts.refused(capfd, monkeypatch, "extract_patterns", **given)
        assert not (tmp_path / "out.npy").exists()
        return sentence

    return call


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (['{"prompt": "a", "response": "b"}', "", '{"prompt": '], r"probe\.jsonl:3 is not valid JSON"),
        (['{"prompt": "a", "response": "b"}', "\udcff"], r"probe\.jsonl:2 is not UTF-8 text"),
        (
            ['{"prompt": "a", "answer": "b"}'],
            r"probe\.jsonl:1 has no text in the field 'response' \(fields there: prompt, answer\)",
        ),
        (['{"prompt": null, "response": "b"}'], r"probe\.jsonl:1 has no text in the field 'prompt'"),
        (['["a", "b"]'], r"probe\.jsonl:1 is a JSON array, not an object"),
        (['{"prompt": "a", "response": NaN}'], r"probe\.jsonl:1 has no text in the field 'response'"),
        (['{"prompt": "a", "response": ["b"]}'], r"probe\.jsonl:1 cannot be used \(response is not text\)"),
        (['{"prompt": "a", "response": "\\ud83d"}'], r"probe\.jsonl:1 cannot be used \(text is not valid Unicode\)"),
        (['{"prompt": "a", "response": "b", "id": "\\ud83d"}'], r"probe\.jsonl:1 cannot be used \(text is not valid"),
        (['{"prompt": "a", "response": ' + "[" * 100_000], r"probe\.jsonl:1 is not valid JSON"),
        (
            ['{"prompt": "a", "response": "b"}', '{"prompt": "a", "response": " \\n"}'],
            r"probe\.jsonl:2 has an empty response",
        ),
        (
            ['{"id": "x", "prompt": "a", "response": "b"}', '{"id": "y", "prompt": "a", "response": "b"}'] * 2,
            r"rows 1 and 3 have the same id 'x'",
        ),
        ([""], r"probe\.jsonl has no rows"),
    ],
)
def test_data_that_cannot_be_used(refused, data, lines, sentence):
    data.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")
    assert re.search(sentence, refused())


def test_files_that_are_not_there_or_of_another_kind(refused, data, tmp_path):
    assert "the data file nowhere.jsonl does not exist" in refused(data="nowhere.jsonl")
    (tmp_path / "probe.txt").write_text("a b\n")
    assert "has a suffix that cannot be read: use one of .jsonl" in refused(data=tmp_path / "probe.txt")
    (tmp_path / "probe.csv").write_text('prompt,response\na,"b\n')
    assert "probe.csv:2 is not valid CSV" in refused(data=tmp_path / "probe.csv")
    (tmp_path / "probe.parquet").write_text("no parquet")
    assert "probe.parquet cannot be read (" in refused(data=tmp_path / "probe.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"prompt": ["a"]}), tmp_path / "probe.parquet")
    assert "no text in the field 'response'" in refused(data=tmp_path / "probe.parquet")
    assert "must end in .npy" in refused(output=tmp_path / "out.csv")


def test_output_and_run_do_not_mix(refused, tmp_path):
    wanted = "give either --output, or both --run and --output-folder"
    assert wanted in refused(run=tmp_path, output_folder=tmp_path / "x")
    for options in ({"run": "x"}, {"output_folder": "x"}, {}):
        with pytest.raises(InputError, match=wanted):
            scripts.run("extract_patterns", model="m", data="d", **options)


def test_a_response_beyond_the_maximum_length(refused, model_folder, data, rows, tmp_path):
    rows = [*rows[:5], {"id": "long", "prompt": "Answer. " * 20, "response": "Yes."}, *rows[6:]]
    write_jsonl(data, rows)
    sentence = refused(max_length=60)
    assert "sample 'long' (and" in sentence and "60 tokens" in sentence
    scripts.run(
        "extract_patterns",
        model=model_folder,
        data=data,
        output=tmp_path / "out.npy",
        max_length=60,
        skip_truncated=True,
    )
    about = json.loads((tmp_path / "out.json").read_text())
    assert about["skipped"] == ["long"]
    assert about["ids"] == [row["id"] for row in rows if row["id"] != "long"]
    found = np.load(tmp_path / "out.samples.npy")
    assert_close(np.abs(found), expected(model_folder, rows[:5] + rows[6:], max_length=60))


def test_skipping_everything_is_refused(refused):
    assert "has no response token within the maximum length of 5 tokens" in refused(max_length=5, skip_truncated=True)


def test_samples_beyond_the_models_positions(refused, data, rows):
    write_jsonl(data, [*rows, {"id": "endless", "prompt": "?", "response": "word " * 200}])
    assert re.search(r"sample 'endless' has \d+ tokens, but LlamaForCausalLM has 256 positions", refused())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the GPU whose absence is tested")
def test_devices_that_are_not_there(refused):
    assert "the device is 'cuda', but torch sees no GPU here" in refused(device="cuda")
    assert "unknown device 'gpu': use cpu, cuda, cuda:N or mps" in refused(device="gpu")


def copy_of(model_folder, folder, weights=None):
    model = build("llama-grouped-query", vocab_size=VOCABULARY, max_position_embeddings=256)
    model.save_pretrained(folder)
    models.load_tokenizer(model_folder).save_pretrained(folder)
    if weights:
        path = folder / "model.safetensors"
        tensors = safetensors.torch.load_file(path)
        weights(tensors)
        safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    return folder


def test_folders_that_hold_no_whole_model(refused, model_folder, tmp_path):
    folder = copy_of(model_folder, tmp_path / "model", lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight"))
    wanted = r"do not match its config.json: missing keys model\.layers\.1\.mlp\.up_proj\.weight; give a complete"
    assert re.search(wanted, refused(model=folder))
    narrow = lambda tensors: tensors.__setitem__("model.norm.weight", torch.ones(8))  # noqa: E731
    copy_of(model_folder, folder, narrow)
    assert re.search(r"mismatched keys model\.norm\.weight; give", refused(model=folder))
    copy_of(model_folder, folder, lambda tensors: tensors.__setitem__("extra.weight", torch.ones(8)))
    assert re.search(r"unexpected keys extra\.weight; give", refused(model=folder))
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:3000])
    assert f"the model in {folder} cannot be loaded" in refused(model=folder)
    (folder / "model.safetensors").unlink()
    assert "cannot be loaded: Error no file named model.safetensors" in refused(model=folder)
    (folder / "config.json").write_text("{")
    assert f"{folder}" in refused(model=folder)
    (folder / "config.json").unlink()
    assert f"{folder} has no config.json" in refused(model=folder)


def test_weights_that_are_not_finite(refused, model_folder, tmp_path):
    poison = lambda tensors: tensors["model.layers.2.mlp.up_proj.weight"].fill_(math.nan)  # noqa: E731
    folder = copy_of(model_folder, tmp_path / "model", poison)
    said = refused(model=folder)
    assert f"the weights in {folder} are damaged: model.layers.2.mlp.up_proj.weight has NaN" in said


def test_a_failure_leaves_earlier_results_unmixed(model_folder, data, tmp_path, capfd, monkeypatch):
    """The JSON marks complete patterns: until a new extraction is complete, the old one remains or loses its JSON."""
    scripts.run("extract_patterns", model=model_folder, data=data, output=tmp_path / "out.npy")
    before = {name: content for name, content in scripts.contents(tmp_path).items() if name.startswith("out")}
    assert len(before) == 3
    scripts.refused(
        capfd, monkeypatch, "extract_patterns", model=model_folder, data=data, output=tmp_path / "out.npy", max_length=5
    )
    assert {name: content for name, content in scripts.contents(tmp_path).items() if name.startswith("out")} == before
