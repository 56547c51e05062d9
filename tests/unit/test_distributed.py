"""Several processes, and DeepSpeed: the same run as with one process, checkpoints, signals and failures."""

import csv
import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import scripts
import torch
from safetensors.torch import load_file
from test_losses import made, make_samples, trained
from test_tokenization import write_instructions
from test_training import RECIPE, options, small, weights
from transformers import AutoModelForCausalLM, Trainer

from headpatterns.models import loading as models
from headpatterns.training import train as training

pytestmark = pytest.mark.slow

LAUNCH = [sys.executable, str(scripts.FOLDER / "launch.py"), "--standalone", "--nproc-per-node", "2"]
needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("c++")), reason="no C++ compiler here, with which DeepSpeed builds it"
)
TIED = {"llama-grouped-query": False, "cohere": True}
"""Whether architectures tie the input embeddings to the projection to the vocabulary."""


def command(processes, **values):
    script = [str(scripts.FOLDER / "finetune.py"), *scripts.words(**values)]
    return [*(LAUNCH if processes == 2 else [sys.executable]), *script]


def start(processes, environment=None, **values):
    """Start finetune.py as a program; its log is next to its output."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **(environment or {})}
    return subprocess.Popen(command(processes, **values), env=environment, text=True, stderr=subprocess.PIPE)


def finetune(processes, environment=None, **values):
    """Run finetune.py to the end; return its exit status and its output on the terminal."""
    process = start(processes, environment, **values)
    _, said = process.communicate(timeout=900)
    return process.returncode, said


def curve(run):
    with (run / "training.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, tokenizer, tokenizer_folder, rows):
    """Shards, a training set of 11 samples, and models with and without dropout."""
    folder = tmp_path_factory.mktemp("prepared")
    instructions = write_instructions(folder / "sums.parquet", rows)
    shards = folder / "tokenized" / "sums" / "train"
    scripts.run(
        "tokenize_instructions", model=tokenizer_folder, instructions=instructions, max_length=256, output=shards
    )
    (folder / "set.csv").write_text("".join(["dataset,id\n", *[f"sums,{row['id']}\n" for row in rows[:11]]]))
    for name, model in {"model": small(), "dropout": small("opt", dropout=0.2)}.items():
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


def shared(prepared, output, devices=2, **values):
    """Options of a run on `devices` devices with 8 samples per step; the last step of an epoch has 3."""
    return options(
        prepared,
        output,
        **{
            "devices": devices,
            "per_device_batch_size": 2,
            "gradient_accumulation_steps": 4 // devices,
            "global_batch_size": 8,
            "max_steps": 8,
            "checkpoint_steps": [3],
            **values,
            "log": output.with_name(f"{output.name}.log"),
        },
    )


@pytest.fixture(scope="module")
def alone(prepared, tmp_path_factory):
    run = tmp_path_factory.mktemp("alone") / "run"
    assert finetune(1, **shared(prepared, run, devices=1)) == (0, "")
    return run


@pytest.mark.parametrize(
    ("devices", "engine", "optimizer", "others"),
    [
        (2, "pytorch", "adamw_fused", {}),
        (1, "deepspeed", "adamw_fused", {}),
        (2, "deepspeed", "adamw", {"padding_free": True, "gradient_checkpointing": True}),
        pytest.param(2, "deepspeed", "adamw_offloaded", {}, marks=needs_compiler),
    ],
)
def test_processes_and_engines_follow_one_trajectory(prepared, alone, tmp_path, devices, engine, optimizer, others):
    values = shared(prepared, tmp_path / "run", devices, engine=engine, optimizer=optimizer, **others)
    assert finetune(devices, **values) == (0, "")
    expected, found = curve(alone), curve(tmp_path / "run")
    for column in ("step", "epoch", "learning_rate"):
        assert [entry[column] for entry in found] == [entry[column] for entry in expected]
    for column in ("loss", "grad_norm"):
        assert [entry[column] for entry in found] == pytest.approx([entry[column] for entry in expected], rel=1e-4)
    # With 11 samples, the second step of an epoch has 3. Two processes need a fourth sample, which has one token.
    more = [(devices - 1) * (entry["step"] // 2) for entry in expected]
    assert [entry["tokens"] for entry in found] == [
        entry["tokens"] + n for entry, n in zip(expected, more, strict=True)
    ]
    for checkpoint in ("final", "intermediate/step-3"):
        one, other = (load_file(run / checkpoint / "model.safetensors") for run in (alone, tmp_path / "run"))
        assert one.keys() == other.keys()
        assert all(torch.allclose(other[name], value, rtol=0, atol=2e-5) for name, value in one.items())
    log = (tmp_path / "run.log").read_text()
    assert log.count("step 8/8 loss") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.log"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_deepspeed_in_bf16_stores_its_master_weights_or_the_models_own(prepared, tmp_path, dtype):
    """One step at a learning rate of 1e-6 is far below the resolution of bfloat16."""
    values = shared(
        prepared,
        tmp_path / "run",
        devices=2 if dtype == "float32" else 1,
        engine="deepspeed",
        precision="bf16",
        checkpoint_dtype=dtype,
        learning_rate=1e-6,
        warmup_ratio=0.0,
        max_steps=1,
        checkpoint_steps=[],
    )
    assert finetune(2 if dtype == "float32" else 1, **values) == (0, "")
    final = tmp_path / "run" / "final"
    model = AutoModelForCausalLM.from_pretrained(final)
    assert json.loads((final / "config.json").read_text())["dtype"] == dtype
    assert {value.dtype for value in load_file(final / "model.safetensors").values()} == {getattr(torch, dtype)}
    before = AutoModelForCausalLM.from_pretrained(prepared / "model").state_dict()
    if dtype == "bfloat16":
        before = {name: value.to(torch.bfloat16) for name, value in before.items()}
    after = {name: value for name, value in model.state_dict().items() if "embed" not in name}  # has unread tokens
    moved = torch.cat([(value.float() - before[name].float()).flatten() for name, value in after.items()])
    share = (moved != 0).float().mean()
    if dtype == "float32":  # it starts from the stored weights, not from weights rounded to bfloat16
        assert share > 0.9
        assert moved.abs().max() < 2e-6
    else:
        assert share < 0.05


def test_deepspeed_in_bf16_starts_from_what_is_stored_in_it_however_that_is_loaded(prepared, tmp_path):
    recipe = dataclasses.replace(RECIPE, engine="deepspeed", precision="bf16", max_steps=2, checkpoint_steps=())
    assert training.loading_dtype(recipe, "bfloat16") == "bfloat16"
    assert {training.loading_dtype(recipe, stored) for stored in ("float16", "float32")} == {"float32"}
    assert training.loading_dtype(RECIPE, "bfloat16") == "float32"
    stored = tmp_path / "stored"
    AutoModelForCausalLM.from_pretrained(prepared / "model", dtype=torch.bfloat16).save_pretrained(stored)
    assert models.stored_dtype(stored) == "bfloat16"
    program = f"""
import json, sys
sys.path.insert(0, {str(scripts.FOLDER)!r})
from pathlib import Path
from datasets import load_from_disk
from headpatterns.models import loading as models
from headpatterns.training import run_folder, train as training
from headpatterns.training.recipe import Recipe
recipe = Recipe.from_json(sys.argv[1])
prepared, stored, output = map(Path, sys.argv[2:])
tokenizer = models.load_tokenizer(prepared / "model")
samples = load_from_disk(prepared / "tokenized/sums/train").remove_columns("id")
with training.session(recipe, "cpu"):
    for dtype in ("float32", "bfloat16"):
        model = models.load_model(stored, dtype)
        training.train(model, tokenizer, samples, recipe, "identity", output / dtype)
        run_folder.publish(output / dtype)
"""
    words = [json.dumps(dataclasses.asdict(recipe)), prepared, stored, tmp_path]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert weights(tmp_path / "float32") == weights(tmp_path / "bfloat16")


def test_losses_in_pieces_are_those_of_the_plain_trainer_with_zero_2(tokenizer, tokenizer_folder, tmp_path):
    """Two processes compute logits of seven tokens at a time, with and without tied embeddings and padding."""
    script = tmp_path / "pieces.py"
    script.write_text(f"""
import sys
sys.path[:0] = {[str(scripts.FOLDER), str(Path(__file__).parent), str(Path(scripts.__file__).parent)]!r}
from pathlib import Path
from test_losses import made, make_samples
from test_training import changed
from transformers import AutoTokenizer
from headpatterns.models import projection
from headpatterns.training import run_folder, train as training
projection.PIECE["cpu"] = 7
plain = dict(learning_rate=1e-12, lr_scheduler="linear", warmup_ratio=0.0, max_grad_norm=1e9, max_steps=2, seed=42)
shared = dict(engine="deepspeed", devices=2, per_device_batch_size=2, checkpoint_steps=())
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
with training.session(changed(**plain, **shared), "cpu"):
    for name in {TIED!r}:
        for free in (False, True):
            recipe = changed(**plain, **shared, padding_free=free)
            run = Path(sys.argv[2]) / f"{{name}} {{free}}"
            training.train(made(name), tokenizer, make_samples(), recipe, "identity", run)
            run_folder.publish(run)
""")
    words = [*LAUNCH, str(script), str(tokenizer_folder), str(tmp_path)]
    done = subprocess.run(words, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name, tied in TIED.items():
        assert made(name).config.tie_word_embeddings == tied
        losses, gradients, _ = trained(Trainer, name, make_samples(), tokenizer, tmp_path / "plain")
        norms = [float(torch.stack([one.norm() for one in step.values()]).norm()) for step in gradients]
        for free in (False, True):
            found = curve(tmp_path / f"{name} {free}")
            assert [entry["loss"] for entry in found] == pytest.approx(losses, rel=1e-6)
            assert [entry["grad_norm"] for entry in found] == pytest.approx(norms, rel=2e-6)


def test_a_finished_run_of_deepspeed_leaves_neither_memory_nor_environment(tokenizer_folder, tmp_path):
    """A model with an odd number of parameters is accepted as well."""
    program = f"""
import gc, os, sys, weakref
sys.path[:0] = {[str(scripts.FOLDER), str(Path(__file__).parent), str(Path(scripts.__file__).parent)]!r}
from pathlib import Path
from deepspeed import DeepSpeedEngine
from test_training import changed
from tiny_models import build
from transformers import AutoTokenizer
from headpatterns.models import loading as models
from headpatterns.training import train as training
recipe = changed(engine="deepspeed", precision="bf16", max_steps=2, checkpoint_steps=())
samples = [{{"input_ids": [5, 6, 7, place], "labels": [5, 6, 7, place]}} for place in range(8)]
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
before = dict(os.environ)
with training.session(recipe, "cpu"):
    inside = os.environ["WORLD_SIZE"]
    for name in ("one", "two"):
        model = build("gpt2", n_embd=21, n_head=3, vocab_size=321 + 1)
        assert model.num_parameters() % 2 == 1, model.num_parameters()
        training.train(model, tokenizer, samples, recipe, "identity", Path(sys.argv[2]) / name)
        engine, = [thing for thing in gc.get_objects() if type(thing) is DeepSpeedEngine]
        masters = engine.optimizer.single_partition_of_fp32_groups
        watched = [weakref.ref(thing) for thing in (model, engine, engine.optimizer, *masters)]
        del model, engine, masters
        models.free_memory("cpu")
        assert [ref() for ref in watched] == [None] * len(watched)
assert inside == "1" and not {{"WORLD_SIZE", "RANK", "LOCAL_RANK"}} & (os.environ.keys() - before.keys())
"""
    words = [sys.executable, "-c", program, tokenizer_folder, tmp_path]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Signals and failures -------------------------------------------------------------------------------------------------

RESUMED = {
    "per_device_batch_size": 1,
    "global_batch_size": 4,
    "max_steps": 60,
    "checkpoint_steps": [12],
    "resume_every": 5,
}
"""An epoch has three steps, so that most states are within an epoch; a late signal still stops the first run."""


def two_runs(prepared, folder, engine, precision):
    """Two runs of a job with dropout and tied weights; the second run starts from the first."""
    runs = [folder / "one", folder / "two"]
    values = shared(prepared, folder / "job", engine=engine, precision=precision, **RESUMED)
    starts = [prepared / "dropout", runs[0] / "final"]
    return runs, {**values, "model": starts, "output": runs, "training_set": [prepared / "set.csv"] * 2}


def interrupt(values, number, steps, everywhere):
    """Start two processes, send a signal after `steps` steps in the log, and return exit status and terminal output.

    The processes must end with the launcher, in whatever way it ends.
    """
    log = values["log"]
    log.unlink(missing_ok=True)
    process = start(2, **values)
    try:
        deadline = time.monotonic() + 120
        while (log.read_text() if log.is_file() else "").count(" loss ") < steps:
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.01)
        workers = children(process.pid)
        assert len(workers) == 2
        for one in [process, *workers] if everywhere else [process]:
            one.send_signal(number)
        _, said = process.communicate(timeout=120)
        assert not psutil.wait_procs(workers, timeout=60)[1]
    finally:
        process.kill()
    return process.returncode, said


def children(pid):
    """The processes that a launcher has started, by rank."""
    found = [child for child in psutil.Process(pid).children() if "finetune.py" in " ".join(child.cmdline())]
    return sorted(found, key=lambda child: child.environ()["RANK"])


def first_step(log):
    return int(re.search(r"^step (\d+)/", log.read_text(), re.MULTILINE)[1])


def newest_state(run):
    states = (run.with_name(f"{run.name}.unfinished") / "state").glob("checkpoint-*/complete")
    return max((path.parent for path in states), key=lambda path: int(path.name.split("-")[1]))


@pytest.mark.parametrize(
    ("engine", "precision", "signals"),
    [
        ("pytorch", "fp32", [(signal.SIGTERM, True), (signal.SIGKILL, False)]),
        ("deepspeed", "bf16", [(signal.SIGINT, False)]),
    ],
    ids=["pytorch", "deepspeed"],
)
def test_a_job_of_two_processes_that_is_interrupted_ends_as_an_undisturbed_one(
    prepared, tmp_path, engine, precision, signals
):
    """The signal goes only to the launcher, or to all processes at once as from Slurm; one state is half-written."""
    whole, values = two_runs(prepared, tmp_path / "whole", engine, precision)
    assert finetune(2, **values) == (0, "")

    cut, values = two_runs(prepared, tmp_path / "cut", engine, precision)
    for number, everywhere in signals:
        status, said = interrupt(values, number, steps=7, everywhere=everywhere)
        state = newest_state(cut[0])
        step = int(state.name.removeprefix("checkpoint-"))
        if number != signal.SIGKILL:
            sentence = (
                f"interrupted by SIGTERM at step {step}: its state is saved, so run the same command again to continue."
            )
            assert (status, said) == (143, f"finetune: {sentence}\n")
    # A later state, to which one process has written nothing yet.
    half = state.with_name("checkpoint-59")
    shutil.copytree(state, half)
    (half / "complete").unlink()
    (half / "rng_state_1.pth").unlink()
    assert finetune(2, **values) == (0, "")
    assert first_step(values["log"]) == step + 1

    for one, other in zip(whole, cut, strict=True):
        assert weights(one) == weights(other)
        assert sorted(weights(one)) == ["final/model.safetensors", "intermediate/step-12/model.safetensors"]
        assert [{**row, "seconds": 0} for row in curve(one)] == [{**row, "seconds": 0} for row in curve(other)]
        assert (one / "run.json").read_bytes() == (other / "run.json").read_bytes()
    assert weights(whole[0]) != weights(whole[1])
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == ["job.log", "one", "two"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"devices": 1},
            "recipe.devices is 1, but 2 processes were started: start this alone, or give another recipe.devices.",
        ),
        ({"global_batch_size": 16}, "global_batch_size is 16, but 2 devices × per_device_batch_size 2 × "),
    ],
    ids=str,
)
def test_what_all_processes_refuse_is_one_sentence(prepared, tmp_path, values, sentence):
    status, said = finetune(2, **shared(prepared, tmp_path / "run", **values))
    assert status == 2
    assert said.startswith(f"finetune: {sentence}") and said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run.log"]
    assert "Traceback" not in (tmp_path / "run.log").read_text()


def test_a_process_that_dies_ends_the_others(prepared, tmp_path):
    process = start(2, **shared(prepared, tmp_path / "run", max_steps=100_000))
    try:
        deadline = time.monotonic() + 120
        while "step 2/" not in ((tmp_path / "run.log").read_text() if (tmp_path / "run.log").is_file() else ""):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        children(process.pid)[1].kill()
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGKILL
    assert said == (
        "process 1 was killed by signal 9, which happens when memory runs out: give the job more "
        "(`mem_mb` of its rule in `resources`).\n"
    )


def test_a_launcher_that_waits_for_another_machine_ends_when_it_is_asked_to():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meet = ["--nnodes=2", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}", "--rdzv-conf=is_host=1"]
    process = subprocess.Popen([*LAUNCH[:2], *meet, "nothing.py"], text=True, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 120
        with socket.socket() as call:
            while call.connect_ex(("127.0.0.1", port)):
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)
        process.terminate()
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, said) == (143, "launch: ended by SIGTERM before it began.\n")


def test_an_optimizer_that_cannot_be_compiled_is_refused_before_anything_is_loaded(prepared, tmp_path):
    nothing = {"PATH": str(tmp_path), "CXX": "", "TORCH_EXTENSIONS_DIR": str(tmp_path / "extensions")}
    values = shared(prepared, tmp_path / "run", devices=1, engine="deepspeed", optimizer="adamw_offloaded")
    status, said = finetune(1, nothing, **{**values, "model": tmp_path / "none"})
    assert (status, said.count("\n")) == (2, 1)
    assert said.startswith(
        "finetune: optimizer adamw_offloaded is compiled when it is first used, but the compilation failed ("
    )
    assert said.endswith("): install a C++ compiler (g++) and ninja, or set finetuning.optimizer to adamw_fused.\n")
