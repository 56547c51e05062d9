"""Runs that train adapters: the stored files, the models that readers load, resuming, engines, and refusals."""

import json
import shutil
import signal

import pytest
import safetensors.torch
import scripts
import test_distributed
import test_training
import torch
from peft import PeftModel
from refusals import refusal
from test_distributed import curve, finetune, interrupt, shared
from test_training import changed, losses, options, small, states, terminate, train, weights, when
from transformers import AutoModelForCausalLM

from headpatterns.errors import InputError, Interrupted
from headpatterns.io import read_json
from headpatterns.models import load_model, load_tokenizer
from headpatterns.models.loading import checkpoints, stored_dtype
from headpatterns.training import callbacks, run_folder
from headpatterns.training import train as training
from headpatterns.training.adapters import Base
from headpatterns.training.finetune import ROUNDED
from headpatterns.training.recipe import Lora, Recipe

LORA = {"rank": 4, "alpha": 16.0, "dropout": 0.1, "target_modules": ["q_proj", "v_proj", "fc1"]}
prepared, samples = test_distributed.prepared, test_training.samples
FILES = ["adapter_config.json", "adapter_model.safetensors", "base.json", "config.json"]


@pytest.fixture(scope="module")
def base(tmp_path_factory, tokenizer):
    """A folder with the small model and its tokenizer."""
    folder = tmp_path_factory.mktemp("base") / "base"
    small().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run_of(base, tokenizer, samples, run, **values):
    """Train a run with adapters on all linear modules."""
    recipe = changed(**{"lora": Lora(rank=4, alpha=8.0), "learning_rate": 1e-2, "checkpoint_steps": (2,), **values})
    model = load_model(base, training.loading_dtype(recipe, "float32"))
    training.train(model, tokenizer, samples, recipe, "identity", run, base=Base(base, base))
    run_folder.publish(run)
    return run


def same(one, other):
    return all(torch.equal(*pair) for pair in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_adapters_alone_are_stored_and_a_reader_has_the_model_that_they_make(base, tokenizer, samples, tmp_path):
    run = run_of(base, tokenizer, samples, tmp_path / "run", max_steps=4)
    assert list(checkpoints(run)) == [2, 4]
    for folder in checkpoints(run).values():
        assert [name for name in FILES if (folder / name).is_file()] == FILES
        assert not (folder / "model.safetensors").exists()
        theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).merge_and_unload()
        read = load_model(folder)
        for (name, ours), other in zip(read.named_parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(ours, other, rtol=1e-6, atol=1e-7, msg=name)
        assert load_tokenizer(folder)("3 cats")["input_ids"] == tokenizer("3 cats")["input_ids"]
        halved = load_model(folder, "bfloat16")
        assert all(torch.equal(*pair) for pair in zip(halved.parameters(), read.bfloat16().parameters(), strict=True))
    settings = read_json(run / "final" / "adapter_config.json")
    targets = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert (settings["r"], settings["lora_alpha"], settings["target_modules"]) == (4, 8.0, targets)
    assert settings["base_model_name_or_path"] == str(base)
    assert read_json(run / "run.json")["recipe"]["lora"] == {
        "rank": 4, "alpha": 8.0, "dropout": 0.0, "target_modules": "all-linear"
    }  # fmt: skip
    changed_by_it = [
        name
        for (name, one), other in zip(
            load_model(run / "final").named_parameters(), load_model(base).parameters(), strict=True
        )
        if not torch.equal(one, other)
    ]
    assert len(changed_by_it) == 3 * 7 and not any("norm" in name or "embed" in name for name in changed_by_it)


def test_a_run_without_adapters_says_nothing_of_them(tokenizer, samples, tmp_path):
    train(small(), tokenizer, samples, changed(max_steps=2, checkpoint_steps=()), "identity", tmp_path / "run")
    assert "lora" not in read_json(tmp_path / "run" / "run.json")["recipe"]
    assert "lora" not in changed().stated()


def test_the_first_loss_is_the_bases_and_gradients_below_frozen_inputs_may_be_computed_again(
    base, tokenizer, samples, tmp_path
):
    """The learning rate and B start at 0. Without input gradients, gradient checkpointing would train nothing."""
    train(small(), tokenizer, samples, changed(checkpoint_steps=()), "identity", tmp_path / "full")
    kinds = {"plain": {}, "again": {"gradient_checkpointing": True}, "free": {"padding_free": True}}
    found = {kind: run_of(base, tokenizer, samples, tmp_path / kind, **values) for kind, values in kinds.items()}
    expected = losses(found["plain"])
    assert expected[0] == pytest.approx(losses(tmp_path / "full")[0], rel=1e-6)
    assert expected[-1] < expected[0]
    assert losses(found["again"]) == pytest.approx(expected, rel=1e-6)
    assert losses(found["free"]) == pytest.approx(expected, rel=1e-5)


def test_a_seed_draws_the_first_factors_and_decides_every_byte(base, tokenizer, samples, tmp_path):
    seeds = {"one": 0, "two": 0, "three": 1}
    runs = {name: run_of(base, tokenizer, samples, tmp_path / name, seed=seed) for name, seed in seeds.items()}
    one, two, three = (scripts.contents(runs[name]) for name in seeds)
    assert {name: one[name] for name in one if name != "training.csv"} == {
        name: two[name] for name in two if name != "training.csv"
    }
    assert one["final/adapter_model.safetensors"] != three["final/adapter_model.safetensors"]


def test_mixed_precision_trains_float32_adapters_on_a_base_as_it_is_stored(base, tokenizer, samples, tmp_path):
    recipe = changed(precision="bf16", lora=Lora())
    assert training.loading_dtype(recipe, "bfloat16") == "bfloat16"
    assert training.loading_dtype(changed(precision="bf16"), "bfloat16") == "float32"
    assert training.loading_dtype(changed(lora=Lora()), "bfloat16") == "float32"
    stored = tmp_path / "stored"
    load_model(base, "bfloat16").save_pretrained(stored)
    tokenizer.save_pretrained(stored)
    model = load_model(stored, "bfloat16")
    training.train(
        model, tokenizer, samples, changed(**{**vars(recipe), "learning_rate": 1e-2}), "identity",
        tmp_path / "run", base=Base(stored, stored),
    )  # fmt: skip
    run_folder.publish(tmp_path / "run")
    kept = safetensors.torch.load_file(tmp_path / "run" / "final" / "adapter_model.safetensors")
    assert {value.dtype for value in kept.values()} == {torch.float32}
    plain = run_of(base, tokenizer, samples, tmp_path / "plain")
    assert losses(tmp_path / "run") == pytest.approx(losses(plain), rel=3e-2)
    half = run_of(base, tokenizer, samples, tmp_path / "half", checkpoint_dtype="bfloat16")
    rounded = safetensors.torch.load_file(half / "final" / "adapter_model.safetensors")
    whole = safetensors.torch.load_file(plain / "final" / "adapter_model.safetensors")
    assert all(torch.equal(rounded[name], value.bfloat16()) for name, value in whole.items())


def test_adapters_below_adapters_are_not_rounded_away(base, tokenizer, samples, tmp_path):
    """The second run trains on what the first one has learnt, for any stored dtype. A reader rounds once."""
    stored, quiet = tmp_path / "stored", {"learning_rate": 1e-6, "max_steps": 2, "checkpoint_steps": ()}
    load_model(base, "bfloat16").save_pretrained(stored)
    tokenizer.save_pretrained(stored)
    first = run_of(stored, tokenizer, samples, tmp_path / "first", **quiet) / "final"
    recipe = changed(precision="bf16", lora=Lora())
    start = load_model(first, training.loading_dtype(recipe, stored_dtype(first)))
    assert same(start, load_model(first)) and not same(start, load_model(first, "bfloat16").float())
    second = run_of(first, tokenizer, samples, tmp_path / "second", max_steps=2, checkpoint_steps=()) / "final"
    once, read = load_model(second), load_model(second, "bfloat16")
    assert all(
        torch.equal(one.bfloat16(), other) for one, other in zip(once.parameters(), read.parameters(), strict=True)
    )


def test_a_run_on_no_sample_is_the_base_as_it_is(base, tokenizer, tmp_path):
    run_of(base, tokenizer, [], tmp_path / "run")
    assert same(load_model(tmp_path / "run" / "final"), load_model(base))


def test_a_base_that_changed_or_is_away_is_refused(base, tokenizer, samples, tmp_path):
    own = shutil.copytree(base, tmp_path / "models" / "base")
    final = run_of(own, tokenizer, samples, tmp_path / "runs" / "run", max_steps=2, checkpoint_steps=()) / "final"
    moved = tmp_path / "moved"
    moved.mkdir()
    for part in ("models", "runs"):
        (tmp_path / part).rename(moved / part)
    load_model(moved / "runs" / "run" / "final")  # base and run have moved together
    final = moved / "runs" / "run" / "final"
    other = small(seed=1)
    other.save_pretrained(moved / "models" / "base")
    with refusal(str(final), ("a model other than", str(moved / "models" / "base"), "train the run again")):
        load_model(final)
    shutil.rmtree(moved / "models" / "base")
    with refusal(str(final), ("does not exist", str(moved / "models" / "base"), "restore it")):
        load_model(final)


@pytest.mark.parametrize(
    ("target", "hints"),
    [("q_prj", ("LlamaForCausalLM", "did you mean q_proj?")), ("input_layernorm", ("valid are", "q_proj"))],
)
def test_a_target_that_no_linear_module_is_called_is_refused(base, tokenizer, samples, tmp_path, target, hints):
    with refusal("finetuning.lora.target_modules", (target, *hints)):
        run_of(base, tokenizer, samples, tmp_path / "run", lora=Lora(target_modules=("q_proj", target)))


def test_a_target_that_is_tied_is_refused(tokenizer, samples, tmp_path):
    small("gemma-multi-query").save_pretrained(tmp_path / "tied")
    tokenizer.save_pretrained(tmp_path / "tied")
    with refusal("finetuning.lora.target_modules", ("lm_head", "input and output embeddings share", "leave it out")):
        run_of(tmp_path / "tied", tokenizer, samples, tmp_path / "run", lora=Lora(target_modules=("lm_head",)))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rank": 0}, "recipe.lora.rank is 0, but should be greater than or equal to 1"),
        ({"dropout": 1}, "recipe.lora.dropout is 1, but should be less than 1"),
        ({"alfa": 1}, "a recipe has no key lora.alfa: did you mean alpha?"),
    ],
    ids=str,
)
def test_what_a_recipe_cannot_say_of_adapters_is_refused_by_its_key(change, sentence):
    with pytest.raises(InputError) as refused:
        Recipe.from_json(json.dumps({**changed().stated(), "lora": change}))
    assert str(refused.value).startswith(sentence)


# The script, its signals, and several processes -----------------------------------------------------------------------


def adapted(prepared, output, **values):
    """Options of a run whose adapters have dropout, on a model that also has dropout."""
    given = {"model": prepared / "dropout", "lora": LORA, "max_steps": 40, "checkpoint_steps": [3, 12], **values}
    return options(prepared, output, **given)


def assert_same(run, other):
    assert weights(run) == weights(other)
    found, expected = scripts.contents(run), scripts.contents(other)
    assert {name: found[name] for name in found if name != "training.csv"} == {
        name: expected[name] for name in expected if name != "training.csv"
    }


def test_a_run_that_is_interrupted_ends_as_an_undisturbed_one(prepared, tmp_path, monkeypatch):
    """Its states are small: they hold adapters, and none of the base's weights."""
    scripts.run("finetune", **adapted(prepared, tmp_path / "whole" / "run"))
    run = tmp_path / "cut" / "run"
    for step in (7, 12):
        monkeypatch.setattr(callbacks, "print", when(f"step {step - 1}/", terminate), raising=False)
        with pytest.raises(Interrupted, match=rf"^interrupted by SIGTERM at step {step}: its state is saved"):
            scripts.run("finetune", **adapted(prepared, run))
        assert states(run)[-1] == step
    monkeypatch.undo()
    state = run.with_name("run.unfinished") / "state" / "checkpoint-12"
    assert (state / "adapter_model.safetensors").is_file() and not (state / "model.safetensors").exists()
    scripts.run("finetune", **adapted(prepared, run))
    assert_same(run, tmp_path / "whole" / "run")


def test_a_state_on_another_base_is_never_resumed_from(prepared, tmp_path, capfd, monkeypatch):
    model = shutil.copytree(prepared / "dropout", tmp_path / "model")
    values = adapted(prepared, tmp_path / "run", model=model, max_steps=6, checkpoint_steps=[])
    monkeypatch.setattr(callbacks, "print", when("step 3/", terminate), raising=False)
    with pytest.raises(Interrupted):
        scripts.run("finetune", **values)
    monkeypatch.undo()
    small("opt", seed=1, dropout=0.2).save_pretrained(model)
    capfd.readouterr()
    scripts.run("finetune", **values)
    assert "step 1/6" in capfd.readouterr().out
    load_model(tmp_path / "run" / "final")


def test_training_in_bf16_says_what_it_does_not_see_below_adapters(prepared, tmp_path, capfd):
    """A base in bfloat16 has no digits to lose. A first run adds digits to it, and its checkpoint keeps them."""
    model = shutil.copytree(prepared / "dropout", tmp_path / "model")
    load_model(model, "bfloat16").save_pretrained(model)
    runs, short = [tmp_path / "one", tmp_path / "two"], {"max_steps": 2, "checkpoint_steps": [], "precision": "bf16"}
    said = []
    for start, run in zip((model, runs[0] / "final"), runs, strict=True):
        scripts.run("finetune", **adapted(prepared, run, **short, model=start))
        said.append(capfd.readouterr().out)
    assert ROUNDED not in said[0] and said[1].count(f"{runs[0] / 'final'} {ROUNDED}") == 1
    stored = safetensors.torch.load_file(runs[0] / "final" / "adapter_model.safetensors")
    assert any(not torch.equal(value, value.bfloat16().float()) for value in stored.values())


def test_a_run_that_starts_from_adapters_is_the_same_whatever_shares_its_job(prepared, tmp_path):
    sets = [prepared / "set.csv"] * 2
    short = {"max_steps": 6, "checkpoint_steps": []}
    alone, together = ([tmp_path / kind / name for name in ("one", "two")] for kind in ("alone", "together"))
    for start, run in zip((prepared / "dropout", alone[0] / "final"), alone, strict=True):
        scripts.run("finetune", **adapted(prepared, run, **short, model=start))
    starts = [prepared / "dropout", together[0] / "final"]
    scripts.run("finetune", **adapted(prepared, together, **short, model=starts, training_set=sets))
    for one, other in zip(alone, together, strict=True):
        assert weights(one) == weights(other)
        assert same(load_model(one / "final"), load_model(other / "final"))
    assert read_json(together[1] / "final" / "base.json")["base"] == "../../one/final"
    assert not same(load_model(together[0] / "final"), load_model(together[1] / "final"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("devices", "engine", "others"),
    [
        (2, "pytorch", {}),
        (1, "deepspeed", {}),
        (2, "deepspeed", {"padding_free": True, "gradient_checkpointing": True}),
    ],
)
def test_processes_and_engines_follow_one_trajectory(prepared, tmp_path, devices, engine, others):
    values = {"lora": {**LORA, "dropout": 0.0}, "model": prepared / "model"}
    values["lora"]["target_modules"] = "all-linear"
    assert finetune(1, **shared(prepared, tmp_path / "alone", devices=1, **values)) == (0, "")
    run = tmp_path / "run"
    assert finetune(devices, **shared(prepared, run, devices, engine=engine, **values, **others)) == (0, "")
    expected, found = curve(tmp_path / "alone"), curve(run)
    for column in ("loss", "grad_norm"):
        assert [entry[column] for entry in found] == pytest.approx([entry[column] for entry in expected], rel=1e-4)
    for checkpoint in ("final", "intermediate/step-3"):
        one, other = (
            safetensors.torch.load_file(place / checkpoint / "adapter_model.safetensors")
            for place in (tmp_path / "alone", run)
        )
        assert one.keys() == other.keys()
        assert all(torch.allclose(other[name], value, rtol=0, atol=2e-5) for name, value in one.items())


@pytest.mark.slow
def test_zero_2_in_bf16_stores_its_masters_and_goes_on_after_a_signal(prepared, tmp_path):
    """Two processes train two runs; the second starts from the first's adapters. States hold no frozen weights."""

    def job(folder):
        runs = [folder / "one", folder / "two"]
        given = shared(
            prepared, folder / "job", engine="deepspeed", precision="bf16", lora=LORA, max_steps=30,
            checkpoint_steps=[12], resume_every=5, gradient_accumulation_steps=1, global_batch_size=4,
        )  # fmt: skip
        starts = [prepared / "dropout", runs[0] / "final"]
        return runs, {**given, "model": starts, "output": runs, "training_set": [prepared / "set.csv"] * 2}

    whole, values = job(tmp_path / "whole")
    assert finetune(2, **values) == (0, "")
    cut, values = job(tmp_path / "cut")
    status, said = interrupt(values, signal.SIGTERM, steps=7, everywhere=False)
    assert status == 143 and "its state is saved" in said
    state = max((tmp_path / "cut" / "one.unfinished" / "state").glob("checkpoint-*"))
    kept = sum(path.stat().st_size for path in state.rglob("*model*") if path.is_file())
    assert kept < (prepared / "dropout" / "model.safetensors").stat().st_size
    assert finetune(2, **values) == (0, "")
    for one, other in zip(whole, cut, strict=True):
        assert weights(one) == weights(other)
        for file in ("run.json", "final/base.json"):
            assert (one / file).read_bytes() == (other / file).read_bytes()
    stored = safetensors.torch.load_file(whole[0] / "final" / "adapter_model.safetensors")
    assert any(not torch.equal(value, value.bfloat16().float()) for value in stored.values())
