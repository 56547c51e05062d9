"""Runs: the same bytes from the same seed, the loss that a plain computation gives, and resuming after a kill."""

import csv
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
import scripts
import torch
from recipes import with_recipe
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_tokenization import write_instructions
from tiny_models import VOCABULARY, build
from transformers import AutoModelForCausalLM, AutoTokenizer

from headpatterns.data.tokens import tokenize
from headpatterns.errors import InputError, Interrupted
from headpatterns.models import loading as models
from headpatterns.models.loading import checkpoints
from headpatterns.training import callbacks, finetune, run_folder
from headpatterns.training import train as training
from headpatterns.training.recipe import KEYS, Recipe

RECIPE = Recipe(
    learning_rate=1e-3,
    lr_scheduler="cosine",
    warmup_ratio=0.1,
    weight_decay=0.0,
    max_grad_norm=1.0,
    epochs=1.0,
    max_steps=6,
    engine="pytorch",
    devices=1,
    optimizer="adamw_fused",
    per_device_batch_size=4,
    gradient_accumulation_steps=1,
    global_batch_size=4,
    padding_free=False,
    precision="fp32",
    gradient_checkpointing=False,
    checkpoint_dtype="float32",
    checkpoint_steps=(2, 4),
    resume_every=100,
    seed=0,
)


def changed(**values):
    return dataclasses.replace(RECIPE, **values)


@pytest.fixture(scope="module")
def samples(tokenizer, rows):
    tokenized = [tokenize(tokenizer, row["id"], row["prompt"], row["response"], 256) for row in rows]
    return [{"input_ids": sample.input_ids, "labels": sample.labels} for sample in tokenized]


def small(name="llama-grouped-query", seed=0, **settings):
    """A model with the weights of a usual initialisation, so that losses change slowly."""
    model = build(name, seed=seed, vocab_size=VOCABULARY, max_position_embeddings=256, **settings)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.div_(8.0)
    return model


def train(model, tokenizer, samples, recipe, identity, run):
    training.train(model, tokenizer, samples, recipe, identity, run)
    run_folder.publish(run)


def curve(run):
    with (run / "training.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def losses(run):
    return [float(entry["loss"]) for entry in curve(run)]


def weights(run):
    return {name: data for name, data in scripts.contents(run).items() if name.endswith(".safetensors")}


def plain_loss(model, samples):
    """Mean negative log-likelihood of all tokens with a label, one sample at a time."""
    total, count = 0.0, 0
    with torch.no_grad():
        for sample in samples:
            logits = model(input_ids=torch.tensor([sample["input_ids"]])).logits[0]
            for place, label in enumerate(sample["labels"]):
                if label != -100:
                    total -= logits[place - 1].log_softmax(-1)[label].item()
                    count += 1
    return total / count


def test_a_seed_decides_every_byte_of_the_weights(tokenizer, samples, tmp_path):
    """OPT draws dropout masks as well as the order of the data."""
    for name, seed in {"one": 0, "two": 0, "three": 1}.items():
        train(small("opt"), tokenizer, samples, changed(seed=seed), "identity", tmp_path / name)
    one, two, three = (weights(tmp_path / name) for name in ("one", "two", "three"))
    assert sorted(one) == [
        "final/model.safetensors",
        "intermediate/step-2/model.safetensors",
        "intermediate/step-4/model.safetensors",
    ]
    assert one == two
    assert all(one[name] != three[name] for name in one)
    assert len(set(one.values())) == 3


def test_files_of_a_run(tokenizer, samples, tmp_path):
    run = tmp_path / "runs" / "run"
    train(small(), tokenizer, samples, changed(checkpoint_steps=(1, 4, 6, 99)), "identity", run)
    assert sorted(path.name for path in run.iterdir()) == ["final", "intermediate", "run.json", "training.csv"]
    assert [path.name for path in run.parent.iterdir()] == ["run"]
    assert json.loads((run / "run.json").read_text())["steps"] == [1, 4, 6]
    folders = checkpoints(run)
    assert list(folders) == [1, 4, 6]
    assert folders[6] == run / "final"
    for folder in folders.values():
        model, saved = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
        assert model.num_parameters() == small().num_parameters()
        assert saved("3 cats")["input_ids"] == tokenizer("3 cats")["input_ids"]
        models.load_model(folder)
    # The weights at a step do not depend on which other weights are kept.
    train(small(), tokenizer, samples, changed(checkpoint_steps=()), "identity", tmp_path / "bare")
    assert (tmp_path / "bare" / "intermediate").is_dir()
    assert weights(tmp_path / "bare") == {name: data for name, data in weights(run).items() if "final" in name}


def test_the_curve_counts_steps_tokens_and_seconds(tokenizer, samples, tmp_path):
    """All samples are one step, so each step reads every token once."""
    recipe = changed(per_device_batch_size=5, gradient_accumulation_steps=2, global_batch_size=10, max_steps=4)
    train(small(), tokenizer, samples[:10], recipe, "identity", tmp_path / "run")
    entries = curve(tmp_path / "run")
    assert tuple(entries[0]) == run_folder.CURVE
    assert [int(entry["step"]) for entry in entries] == [1, 2, 3, 4]
    tokens = sum(len(sample["input_ids"]) for sample in samples[:10])
    assert len({len(sample["input_ids"]) for sample in samples[:10]}) > 1
    assert [int(entry["tokens"]) for entry in entries] == [tokens, 2 * tokens, 3 * tokens, 4 * tokens]
    assert [float(entry["epoch"]) for entry in entries] == [1, 2, 3, 4]
    seconds = [float(entry["seconds"]) for entry in entries]
    assert seconds == sorted(seconds) and seconds[0] > 0
    assert all(float(entry["grad_norm"]) > 0 for entry in entries)


@pytest.mark.parametrize("name", ["llama-grouped-query", "gemma-multi-query", "gpt2"])
def test_the_first_loss_is_the_mean_over_the_response_tokens_of_the_step(tokenizer, samples, tmp_path, name):
    settings = {"n_positions": 256, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0} if name == "gpt2" else {}
    expected = plain_loss(small(name, **settings), samples[:8])
    everything = plain_loss(
        small(name, **settings), [{**one, "labels": [-100, *one["input_ids"][1:]]} for one in samples[:8]]
    )
    assert abs(everything - expected) > 1e-4 * expected
    recipe = changed(per_device_batch_size=2, gradient_accumulation_steps=4, global_batch_size=8, max_steps=2)
    train(small(name, **settings), tokenizer, samples[:8], recipe, "identity", tmp_path / "run")
    assert losses(tmp_path / "run")[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["llama-grouped-query", "opt", "gemma-multi-query"])
def test_accumulation_changes_nothing(tokenizer, samples, tmp_path, name):
    """Equal global batches follow one trajectory, for every division into micro-batches."""
    found = {}
    for batch, steps in ((8, 1), (2, 4), (1, 8)):
        model = small(name, **({"dropout": 0.0} if name == "opt" else {}))
        recipe = changed(per_device_batch_size=batch, gradient_accumulation_steps=steps, global_batch_size=8)
        train(model, tokenizer, samples, recipe, "identity", tmp_path / f"run{batch}")
        found[batch] = losses(tmp_path / f"run{batch}")
    assert len(set(found[8])) == 6
    assert found[2] == pytest.approx(found[8], rel=1e-4)
    assert found[1] == pytest.approx(found[8], rel=1e-4)


def test_checkpointed_gradients_and_mixed_precision_follow_the_same_losses(tokenizer, samples, tmp_path):
    for name, recipe in {
        "plain": RECIPE,
        "checkpointed": changed(gradient_checkpointing=True),
        "bf16": changed(precision="bf16"),
    }.items():
        train(small(), tokenizer, samples, recipe, "identity", tmp_path / name)
    assert losses(tmp_path / "checkpointed") == pytest.approx(losses(tmp_path / "plain"), rel=1e-6)
    assert losses(tmp_path / "bf16") == pytest.approx(losses(tmp_path / "plain"), rel=2e-2)
    assert losses(tmp_path / "bf16") != losses(tmp_path / "plain")
    # Mixed precision keeps the weights in float32, and stores them in the requested dtype.
    assert models.load_model(tmp_path / "bf16" / "final").dtype == torch.float32
    assert json.loads((tmp_path / "bf16" / "final" / "config.json").read_text())["dtype"] == "float32"
    halved = changed(precision="bf16", checkpoint_dtype="bfloat16")
    train(small(), tokenizer, samples, halved, "identity", tmp_path / "halved")
    whole, half = (AutoModelForCausalLM.from_pretrained(tmp_path / name / "final") for name in ("bf16", "halved"))
    assert (whole.dtype, half.dtype) == (torch.float32, torch.bfloat16)
    rounded = {name: value.bfloat16() for name, value in whole.state_dict().items()}
    assert all(torch.equal(value, rounded[name]) for name, value in half.state_dict().items())


def test_epochs_decide_the_steps_where_no_number_is_given(tokenizer, samples, tmp_path):
    recipe = changed(max_steps=None, epochs=2.0, checkpoint_steps=())
    train(small(), tokenizer, samples, recipe, "identity", tmp_path / "run")
    assert [int(entry["step"]) for entry in curve(tmp_path / "run")] == list(range(1, 7))  # 12 samples, 4 a step


def test_the_learning_rate_warms_up_and_falls(tokenizer, samples, tmp_path):
    recipe = changed(max_steps=20, lr_scheduler="linear", warmup_ratio=0.25, checkpoint_steps=())
    train(small(), tokenizer, samples, recipe, "identity", tmp_path / "run")
    rates = [float(entry["learning_rate"]) for entry in curve(tmp_path / "run")]
    assert rates == pytest.approx([1e-3 * n / 5 for n in range(5)] + [1e-3 * (15 - n) / 15 for n in range(15)])


def test_only_response_tokens_teach(tokenizer, samples, tmp_path):
    """Samples without labels share a batch with one that has some. Its loss and gradient are those of the one alone."""
    masked = [{**sample, "labels": [-100] * len(sample["labels"])} for sample in samples[:4]]
    one = samples[4]
    recipe = changed(per_device_batch_size=5, global_batch_size=5, max_steps=1, warmup_ratio=0.0, checkpoint_steps=())
    train(small(), tokenizer, [*masked, one], recipe, "identity", tmp_path / "with")
    assert losses(tmp_path / "with")[0] == pytest.approx(plain_loss(small(), [one]), rel=1e-5)
    alone = changed(per_device_batch_size=1, global_batch_size=1, max_steps=1, warmup_ratio=0.0, checkpoint_steps=())
    train(small(), tokenizer, [one], alone, "identity", tmp_path / "alone")
    norms = [float(curve(tmp_path / name)[0]["grad_norm"]) for name in ("with", "alone")]
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_a_loss_that_is_not_finite_stops_the_run_at_its_step(tokenizer, samples, tmp_path):
    model = small()
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, 0] = float("nan")
    with pytest.raises(InputError, match=r"^the loss is nan at step 1: lower the learning rate"):
        train(model, tokenizer, samples, RECIPE, "identity", tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match=r"^the loss is (nan|inf) at step [2-6]:"):
        train(small(), tokenizer, samples, changed(learning_rate=1e30, warmup_ratio=0.0), "identity", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_trained_is_refused_before_anything_is_written(tokenizer, samples, tmp_path):
    with pytest.raises(
        InputError, match=r"global_batch_size is 8, but 1 devices × .* 4 × .* 1 = 4: make the two agree"
    ):
        train(small(), tokenizer, samples, changed(global_batch_size=8), "identity", tmp_path / "run")
    with pytest.raises(InputError, match=r"the training set of .*run has 3 samples, less than one step"):
        train(small(), tokenizer, samples[:3], RECIPE, "identity", tmp_path / "run")
    with pytest.raises(InputError, match=r"^BloomForCausalLM takes no position ids"):
        train(build("bloom"), tokenizer, samples, changed(padding_free=True), "identity", tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_run_on_no_sample_is_the_model_as_it_is(tokenizer, tmp_path):
    model = small()
    train(model, tokenizer, [], RECIPE, "identity", tmp_path / "run")
    assert checkpoints(tmp_path / "run") == {0: tmp_path / "run" / "final"}
    assert curve(tmp_path / "run") == []
    kept = models.load_model(tmp_path / "run" / "final").state_dict()
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no run.json: give the folder of a finished run"):
        checkpoints(tmp_path)


def test_a_recipe_is_what_its_json_says_and_its_defaults():
    stated = {"learning_rate": 1, "per_device_batch_size": 2, "global_batch_size": 2, "epochs": 2, "max_steps": None}
    recipe = Recipe.from_json(json.dumps({**stated, "checkpoint_steps": [4, 2, 4]}))
    assert (recipe.learning_rate, recipe.epochs, recipe.checkpoint_steps) == (1.0, 2.0, (2, 4))
    assert isinstance(recipe.epochs, float)  # run.json shows it as a float
    assert dataclasses.asdict(recipe)["lr_scheduler"] == "cosine"
    assert Recipe.from_json(json.dumps(dataclasses.asdict(RECIPE))) == RECIPE
    assert tuple(dataclasses.asdict(RECIPE)) == KEYS


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"learning_rat": 1}, "a recipe has no key learning_rat: did you mean learning_rate?"),
        ({"learning_rate": "fast"}, 'recipe.learning_rate is "fast", but should be a valid number'),
        ({"learning_rate": 0}, "recipe.learning_rate is 0, but should be greater than 0"),
        ({"learning_rate": float("nan")}, "recipe.learning_rate is NaN, but should be a finite number"),
        ({"devices": "2"}, 'recipe.devices is "2", but should be a valid integer'),
        ({"devices": True}, "recipe.devices is true, but should be a valid integer"),
        ({"max_steps": 0}, "recipe.max_steps is 0, but should be greater than or equal to 1"),
        ({"max_steps": 1.5}, "recipe.max_steps is 1.5, but should be a valid integer"),
        ({"padding_free": "yes"}, 'recipe.padding_free is "yes", but should be a valid boolean'),
        ({"engine": "deepsped"}, "recipe.engine is \"deepsped\", but should be 'pytorch' or 'deepspeed': did you mean"),
        ({"checkpoint_steps": [3, 0]}, "recipe.checkpoint_steps.1 is 0, but should be greater than or equal to 1"),
        ({"optimizer": "adamw_offloaded"}, "recipe.optimizer adamw_offloaded needs the engine deepspeed: set"),
    ],
    ids=str,
)
def test_what_a_recipe_cannot_say_is_refused_by_its_key(change, sentence):
    stated = {**dataclasses.asdict(RECIPE), **change}
    with pytest.raises(InputError, match=rf"^{re.escape(sentence)}"):
        Recipe.from_json(json.dumps(stated))


def test_a_key_that_a_recipe_lacks_is_named_after_one_that_may_be_it_misspelt():
    stated = {key: value for key, value in dataclasses.asdict(RECIPE).items() if key != "learning_rate"}
    with pytest.raises(InputError, match=r"^the recipe lacks learning_rate: set recipe\.learning_rate\.$"):
        Recipe.from_json(json.dumps(stated))
    with pytest.raises(InputError, match=r"^a recipe has no key lerning_rate: did you mean learning_rate"):
        Recipe.from_json(json.dumps({**stated, "lerning_rate": 1}))


@pytest.mark.parametrize("text", ["{", "[]", "3"])
def test_a_recipe_that_is_no_json_object_is_refused(text):
    with pytest.raises(
        InputError, match=rf"^--recipe '{re.escape(text)}' is not a JSON object \(.*: give names and val"
    ):
        Recipe.from_json(text)


# The script -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, tokenizer, tokenizer_folder, rows):
    """What finetune.py needs: shards, a training set of 10 of their 12 samples, and a model with dropout."""
    folder = tmp_path_factory.mktemp("prepared")
    instructions = write_instructions(folder / "sums.parquet", rows)
    shards = folder / "tokenized" / "sums" / "train"
    scripts.run(
        "tokenize_instructions", model=tokenizer_folder, instructions=instructions, max_length=256, output=shards
    )
    chosen = [f"sums,{row['id']}\n" for row in rows[-10:]]
    (folder / "set.csv").write_text("".join(["dataset,id\n", *chosen]))
    small("opt", dropout=0.2).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder


def options(prepared, output, **values):
    given = {
        "model": prepared / "model",
        "training_set": prepared / "set.csv",
        "tokenized": prepared / "tokenized" / "sums" / "train",
        "output": output,
        "learning_rate": 1e-3,
        "per_device_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "global_batch_size": 4,
        "max_steps": 150,
        "checkpoint_steps": [3, 12, 27, 140],
        "resume_every": 10,
        "seed": 3,
        **values,
    }
    return with_recipe(given)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, prepared):
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    scripts.run("finetune", **options(prepared, run))
    return run


@pytest.fixture(scope="module")
def killed(tmp_path_factory, prepared):
    """The folder in which finetune.py was killed with SIGKILL once it had saved two states."""
    folder = tmp_path_factory.mktemp("killed")
    process = scripts.launch("finetune", folder / "home", start=subprocess.Popen, **options(prepared, folder / "run"))
    try:
        state = folder / "run.unfinished" / "state"
        deadline = time.monotonic() + 120
        while len(list(state.glob("checkpoint-*/complete"))) < 2:
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    finally:
        process.kill()
        process.communicate()
    assert not (folder / "run").exists()
    assert not list((folder / "home").iterdir())
    return folder


@pytest.fixture
def interrupted(killed, tmp_path):
    """The output path of a copy of the killed run, which a test may continue."""
    shutil.copytree(killed / "run.unfinished", tmp_path / "run.unfinished")
    return tmp_path / "run"


def states(run):
    folder = run.with_name("run.unfinished") / "state"
    return sorted(int(path.parent.name.split("-")[1]) for path in folder.glob("checkpoint-*/complete"))


def first_step(capfd):
    return int(re.search(r"step (\d+)/", capfd.readouterr().out)[1])


def without_seconds(run):
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in curve(run)]


def assert_same_run(run, undisturbed):
    assert weights(run) == weights(undisturbed)
    kept = [f"intermediate/step-{step}/model.safetensors" for step in (3, 12, 27, 140)]
    assert sorted(weights(run)) == sorted(["final/model.safetensors", *kept])
    assert sorted(scripts.contents(run)) == sorted(scripts.contents(undisturbed))
    assert without_seconds(run) == without_seconds(undisturbed)
    assert (run / "run.json").read_bytes() == (undisturbed / "run.json").read_bytes()
    assert not run.with_name("run.unfinished").exists()


@pytest.mark.slow
def test_a_killed_run_ends_as_an_undisturbed_one(prepared, undisturbed, interrupted, capfd):
    last = states(interrupted)[-1]
    scripts.run("finetune", **options(prepared, interrupted))
    assert first_step(capfd) == last + 1
    assert_same_run(interrupted, undisturbed)


@pytest.mark.slow
def test_a_half_written_state_gives_way_to_the_one_before(prepared, undisturbed, interrupted, capfd):
    earlier, last = states(interrupted)[-2:]
    half = interrupted.with_name("run.unfinished") / "state" / f"checkpoint-{last}"
    (half / run_folder.COMPLETE).unlink()
    (half / "optimizer.pt").write_bytes((half / "optimizer.pt").read_bytes()[:100])
    # The kill may also have come while a checkpoint was being written.
    leftover = interrupted.with_name("run.unfinished") / "intermediate" / ".4711.step-27"
    leftover.mkdir()
    (leftover / "model.safetensors").write_bytes(b"half")
    scripts.run("finetune", **options(prepared, interrupted))
    assert first_step(capfd) == earlier + 1
    assert_same_run(interrupted, undisturbed)


def when(said, act):
    """A replacement of print in training, which calls `act` after a line that starts with `said`."""

    def spy(*words, **options):
        print(*words, **options)
        if words and str(words[0]).startswith(said):
            act()

    return spy


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.slow
def test_sigterm_saves_the_state_of_the_step_and_the_run_goes_on_from_there(
    prepared, undisturbed, tmp_path, capfd, monkeypatch
):
    """It happens twice, the second time from the first state. The weights of step 27 are also kept as a checkpoint."""
    run = tmp_path / "run"
    for step in (7, 27):
        monkeypatch.setattr(callbacks, "print", when(f"step {step - 1}/", terminate), raising=False)
        with pytest.raises(Interrupted, match=rf"^interrupted by SIGTERM at step {step}: its state is saved, so run"):
            scripts.run("finetune", **options(prepared, run))
        assert states(run)[-1] == step
        assert not run.exists()
    monkeypatch.undo()
    capfd.readouterr()
    scripts.run("finetune", **options(prepared, run))
    assert first_step(capfd) == 28
    assert_same_run(run, undisturbed)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_sigterm_between_two_runs_and_in_the_last_step_of_one(prepared, tmp_path, capfd, monkeypatch):
    """The finished run is complete, and is not trained again."""
    runs = [tmp_path / "one", tmp_path / "two"]
    values = options(prepared, runs, training_set=[prepared / "set.csv"] * 2, max_steps=3, checkpoint_steps=[])
    monkeypatch.setattr(callbacks, "print", when("step 2/3", terminate), raising=False)
    with pytest.raises(
        Interrupted, match=r"^interrupted by SIGTERM between two runs: run the same command again to continue\.$"
    ):
        scripts.run("finetune", **values)
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.unfinished"]
    scripts.run("finetune", **values)
    assert capfd.readouterr().out.count("step 1/3") == 2
    assert weights(runs[0]) == weights(runs[1])


def test_sigterm_after_the_last_run_lets_it_be_put_in_place(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks, "print", when("step 3/3", terminate), raising=False)
    scripts.run("finetune", **options(prepared, tmp_path / "run", max_steps=3, checkpoint_steps=[]))
    assert list(checkpoints(tmp_path / "run")) == [3]


@pytest.mark.slow
def test_a_script_is_alone_with_its_run_and_when_it_gets_sigterm_says_so_and_exits_with_143(prepared, tmp_path):
    values = {**options(prepared, tmp_path / "run", max_steps=100_000), "log": tmp_path / "log.txt"}
    process = scripts.launch("finetune", tmp_path / "home", start=subprocess.Popen, **values)
    try:
        deadline = time.monotonic() + 120
        while "step 2/" not in ((tmp_path / "log.txt").read_text() if (tmp_path / "log.txt").is_file() else ""):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(
            InputError, match=r"^another program is training .*run: wait until it ends, or stop it, and"
        ):
            scripts.run("finetune", **{**values, "log": None})
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143
    assert re.fullmatch(
        r"finetune: interrupted by SIGTERM at step \d+: its state is saved, so run the same command again to "
        r"continue.\n",
        said,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [{"learning_rate": 2e-3}, {"seed": 4}, {"max_steps": 30}, {"training_set": 9}, {"model": 1}], ids=str
)
def test_an_unfinished_run_of_something_else_is_discarded(prepared, interrupted, capfd, tmp_path, change):
    if "training_set" in change:
        lines = (prepared / "set.csv").read_text().splitlines(keepends=True)
        (tmp_path / "set.csv").write_text("".join(lines[:10]))
        change = {"training_set": tmp_path / "set.csv"}
    if "model" in change:
        shutil.copytree(prepared / "model", tmp_path / "model")
        small("opt", seed=1, dropout=0.2).save_pretrained(tmp_path / "model")
        change = {"model": tmp_path / "model"}
    values = options(prepared, interrupted, checkpoint_steps=[], **{"max_steps": 2, **change})
    scripts.run("finetune", **values)
    assert first_step(capfd) == 1
    assert not list((interrupted / "intermediate").iterdir())


def test_a_run_stopped_while_it_was_moved_into_place(prepared, tmp_path, capfd):
    """The trained run is only moved. There is no state of the last step, from which it could train too many steps."""
    values = {"max_steps": 20, "checkpoint_steps": [5], "resume_every": 10, "lr_scheduler": "constant"}
    scripts.run("finetune", **options(prepared, tmp_path / "whole", **values))
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(FileExistsError):
        scripts.run("finetune", **options(prepared, tmp_path / "run", **values))
    assert states(tmp_path / "run") == [10]
    (tmp_path / "run").unlink()
    capfd.readouterr()
    scripts.run("finetune", **options(prepared, tmp_path / "run", **values))
    assert "step" not in capfd.readouterr().out
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    assert without_seconds(tmp_path / "run") == without_seconds(tmp_path / "whole")


@pytest.mark.parametrize("place", [*run_folder.PARTS[1:], "identity.json"])
def test_a_run_killed_while_it_was_put_in_place_is_trained_anew(tokenizer, samples, tmp_path, monkeypatch, place):
    """Snakemake removes what was in place. The rest is no complete run, and no run may continue from its state."""
    recipe = changed(resume_every=3)
    train(small(), tokenizer, samples, recipe, "identity", tmp_path / "whole")
    training.train(small(), tokenizer, samples, recipe, "identity", tmp_path / "run")
    remove = run_folder.remove

    def killed(path):
        if path.name == place:
            raise KeyboardInterrupt
        remove(path)

    monkeypatch.setattr(run_folder, "remove", killed)
    with pytest.raises(KeyboardInterrupt):
        run_folder.publish(tmp_path / "run")
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "run")
    train(small(), tokenizer, samples, recipe, "identity", tmp_path / "run")
    assert sorted(scripts.contents(tmp_path / "run")) == sorted(scripts.contents(tmp_path / "whole"))
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "whole"]


def test_runs_that_share_a_job_are_those_of_jobs_of_their_own(prepared, tmp_path):
    """The second starts from the first, and the third has another training set. Sharing a job changes no byte."""
    lines = (prepared / "set.csv").read_text().splitlines(keepends=True)
    (tmp_path / "few.csv").write_text("".join(lines[:6]))
    sets = [prepared / "set.csv", prepared / "set.csv", tmp_path / "few.csv"]
    alone, shared = ([tmp_path / kind / name for name in ("one", "two", "three")] for kind in ("alone", "shared"))
    short = {"max_steps": 6, "checkpoint_steps": []}
    starts = [[prepared / "model", runs[0] / "final", prepared / "model"] for runs in (alone, shared)]
    for start, chosen, run in zip(starts[0], sets, alone, strict=True):
        scripts.run("finetune", **options(prepared, run, **short, model=start, training_set=chosen))
    scripts.run("finetune", **options(prepared, shared, **short, model=starts[1], training_set=sets))
    for one, other in zip(alone, shared, strict=True):
        assert weights(one) == weights(other)
        assert without_seconds(one) == without_seconds(other)
    assert len({weights(run)["final/model.safetensors"] for run in shared}) == 3
    assert sorted(path.name for path in shared[0].parent.iterdir()) == ["one", "three", "two"]


def test_a_job_that_fails_keeps_the_runs_that_it_finished(prepared, tmp_path, capfd):
    """No run is in place before all are, as Snakemake removes the outputs of a failed job. No run is trained twice."""
    (tmp_path / "wrong.csv").write_text("dataset,id\nsums,nobody\n")
    runs = [tmp_path / "one", tmp_path / "two"]
    values = options(prepared, runs, max_steps=3, checkpoint_steps=[])
    with pytest.raises(InputError, match=r"wrong.csv selects sample 'nobody'"):
        scripts.run("finetune", **{**values, "training_set": [prepared / "set.csv", tmp_path / "wrong.csv"]})
    assert not any(run.exists() for run in runs)
    kept = (tmp_path / "one.unfinished" / "run.json").stat().st_mtime_ns
    scripts.run("finetune", **{**values, "training_set": [prepared / "set.csv", prepared / "set.csv"]})
    assert (runs[0] / "run.json").stat().st_mtime_ns == kept
    assert capfd.readouterr().out.count("step 1/3") == 2
    assert weights(runs[0]) == weights(runs[1])


def test_a_training_set_without_a_sample_leaves_the_model(prepared, tmp_path, capfd):
    (tmp_path / "none.csv").write_text("dataset,id\n")
    scripts.run("finetune", **options(prepared, tmp_path / "run", training_set=tmp_path / "none.csv"))
    assert "none.csv selects no sample" in capfd.readouterr().out
    assert json.loads((tmp_path / "run" / "run.json").read_text())["steps"] == [0]
    before, after = (models.load_model(folder).state_dict() for folder in (prepared / "model", tmp_path / "run/final"))
    assert all(torch.equal(before[name], value) for name, value in after.items())


def test_training_sets_and_runs_that_do_not_fit_are_refused(prepared, tmp_path, capfd, monkeypatch):
    values = options(prepared, [tmp_path / "one", tmp_path / "two"])
    sentence = scripts.refused(capfd, monkeypatch, "finetune", **values)
    assert "there are 2 --output, but 1 --model and 1 --training-set" in sentence


def test_running_again_replaces_a_finished_run(prepared, tmp_path):
    for steps in (4, 3):
        scripts.run("finetune", **options(prepared, tmp_path / "run", max_steps=steps, checkpoint_steps=[steps - 1]))
    assert list(checkpoints(tmp_path / "run")) == [2, 3]
    assert [path.name for path in (tmp_path / "run" / "intermediate").iterdir()] == ["step-2"]


def test_a_training_set_selects_samples_in_its_order(prepared):
    shards = prepared / "tokenized" / "sums" / "train"
    with (prepared / "set.csv").open(newline="") as file:
        selected = [row["id"] for row in csv.DictReader(file)]
    from datasets import load_from_disk

    by_id = {row["id"]: row for row in load_from_disk(shards)}
    found = finetune.gather(prepared / "set.csv", finetune.Pool.of([shards]))
    assert len(selected) == 10
    assert found["input_ids"][:] == [by_id[id]["input_ids"] for id in selected]
    assert found["labels"][:] == [by_id[id]["labels"] for id in selected]
    assert sorted(found.column_names) == ["input_ids", "labels"]


def test_samples_of_several_datasets_are_told_apart(prepared, tmp_path):
    shards = prepared / "tokenized" / "sums" / "train"
    other = tmp_path / "others" / "train"
    shutil.copytree(shards, other)
    (tmp_path / "set.csv").write_text("dataset,id\nothers,sum-3\nsums,sum-5\nothers,sum-1\n")
    found = finetune.gather(tmp_path / "set.csv", finetune.Pool.of([shards, other]))
    expected = finetune.gather(prepared / "set.csv", finetune.Pool.of([shards]))
    assert len(found) == 3 and len(expected) == 10
    (tmp_path / "set.csv").write_text("dataset,id\nothers,sum-3\nothers,sum-99\n")
    with pytest.raises(InputError, match=r"set.csv selects sample 'sum-99' of 'others', but none of"):
        finetune.gather(tmp_path / "set.csv", finetune.Pool.of([shards, other]))


def test_samples_longer_than_the_model_reads_are_refused(prepared, tokenizer, tmp_path, capfd, monkeypatch):
    build("opt", vocab_size=VOCABULARY, max_position_embeddings=32).save_pretrained(tmp_path / "short")
    tokenizer.save_pretrained(tmp_path / "short")
    sentence = scripts.refused(
        capfd, monkeypatch, "finetune", **options(prepared, tmp_path / "run", model=tmp_path / "short")
    )
    assert re.search(r"a sample of .*set\.csv has \d+ tokens, but .*short has 32 positions: set tokenization", sentence)


def test_the_script_refuses_batches_that_do_not_agree(prepared, tmp_path, capfd, monkeypatch):
    values = options(prepared, tmp_path / "run", global_batch_size=16)
    assert "global_batch_size is 16" in scripts.refused(capfd, monkeypatch, "finetune", **values)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"devices": 2, "global_batch_size": 8},
            "recipe.devices is 2, but 1 process was started: start this under workflow_scripts/launch.py --standalone "
            "--nproc-per-node 2, or give another recipe.devices.",
        ),
        (
            {"optimizer": "adamw_offloaded"},
            "recipe.optimizer adamw_offloaded needs the engine deepspeed: set recipe.engine to deepspeed, or",
        ),
        ({"device": "cuda"}, "the device is 'cuda', but torch sees no GPU here"),
    ],
    ids=str,
)
def test_processes_optimizers_and_devices_that_are_not_there_are_refused(
    prepared, tmp_path, capfd, monkeypatch, values, sentence
):
    if "device" in values and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert sentence in scripts.refused(capfd, monkeypatch, "finetune", **options(prepared, tmp_path / "run", **values))
    assert not list(tmp_path.iterdir())


def test_both_of_torchs_optimizers_compute_the_same(tokenizer, samples, tmp_path):
    for optimizer in ("adamw", "adamw_fused"):
        recipe = changed(optimizer=optimizer, weight_decay=0.1, max_steps=20)
        train(small(), tokenizer, samples, recipe, "identity", tmp_path / optimizer)
    assert losses(tmp_path / "adamw") == pytest.approx(losses(tmp_path / "adamw_fused"), rel=1e-5)


def test_a_run_without_padding_follows_the_same_losses_and_counts_the_same_tokens(tokenizer, samples, tmp_path):
    for padding_free in (False, True):
        recipe = changed(padding_free=padding_free)
        train(small(), tokenizer, samples, recipe, "identity", tmp_path / str(padding_free))
    padded, packed = (curve(tmp_path / str(padding_free)) for padding_free in (False, True))
    assert [entry["tokens"] for entry in packed] == [entry["tokens"] for entry in padded]
    assert losses(tmp_path / "True") == pytest.approx(losses(tmp_path / "False"), rel=1e-5)


def steps_and_losses(folder):
    """The steps and losses of a run in TensorBoard."""
    shown = EventAccumulator(str(folder)).Reload()
    assert set(shown.Tags()["scalars"]) == {"train/loss", "train/learning_rate", "train/grad_norm"}
    return [(one.step, one.value) for one in shown.Scalars("train/loss")]


@pytest.mark.slow
def test_a_watched_run_that_was_killed_shows_each_step_once_and_ends_with_the_same_bytes(
    tokenizer, samples, tmp_path, monkeypatch
):
    """The run is killed in step 5, continues from step 3, and removes what it has shown of steps 4 and 5."""
    recipe, folder = changed(resume_every=3), tmp_path / "logs/llama/nlp.arc.seed0"
    train(small(), tokenizer, samples, recipe, "identity", tmp_path / "llama/unwatched")
    assert not folder.exists()
    monkeypatch.setenv("HEADPATTERNS_TENSORBOARD", str(tmp_path / "logs"))
    run = tmp_path / "llama/nlp.arc.seed0"
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(callbacks, "print", when("step 5/", stop_at_once), raising=False)
        train(small(), tokenizer, samples, recipe, "identity", run)
    assert [step for step, _ in steps_and_losses(folder)] == [1, 2, 3, 4, 5]
    train(small(), tokenizer, samples, recipe, "identity", run)
    shown = steps_and_losses(folder)
    assert [step for step, _ in shown] == [1, 2, 3, 4, 5, 6]
    assert [loss for _, loss in shown] == pytest.approx([float(row["loss"]) for row in curve(run)], rel=1e-6)
    assert weights(run) == weights(tmp_path / "llama/unwatched")
    assert without_seconds(run) == without_seconds(tmp_path / "llama/unwatched")
    assert sorted(path.name for path in run.iterdir()) == sorted(run_folder.PARTS)
    train(small(), tokenizer, samples, changed(max_steps=2, checkpoint_steps=()), "other", run)
    assert [step for step, _ in steps_and_losses(folder)] == [1, 2]


def stop_at_once():
    raise KeyboardInterrupt
