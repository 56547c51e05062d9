"""Gradient features of LESS, compared with values by hand, one backward pass per sample, and plain PyTorch."""

import copy
import json

import numpy as np
import pytest
import scripts
import torch
from experiments import checked, config_of
from refusals import refusal
from tiny_models import build

from headpatterns.attribution import less, passes
from headpatterns.attribution.inputs import LabelledSample
from headpatterns.attribution.random_projection import project, signs
from headpatterns.attribution.sample_gradients import PerSample
from headpatterns.data import training_sets
from headpatterns.data.tokens import TokenizedSample
from headpatterns.errors import InputError
from headpatterns.models import linear_layers, projection
from headpatterns.studies.selection import gradients, scores
from headpatterns.training import adapters
from headpatterns.training.recipe import Lora, Recipe

LORA = Lora(rank=2, alpha=4.0)
RECIPE = Recipe(learning_rate=0.02, epochs=2, per_device_batch_size=3, global_batch_size=3, lora=LORA)


def samples(count, seed=0):
    """Samples of random tokens with several lengths; about half of the tokens are the response."""
    draws = np.random.default_rng(seed)
    found = []
    for number in range(count):
        tokens = draws.integers(3, 50, int(draws.integers(4, 12))).tolist()
        start = int(draws.integers(1, len(tokens) - 1))
        found.append(LabelledSample(f"{seed}-{number}", tokens, [-100] * start + tokens[start:]))
    return found


def adapted(name="llama-grouped-query", lora=LORA):
    """A model with adapters whose second factors are no longer 0, and these factors by their names."""
    recipe = Recipe(learning_rate=0.1, per_device_batch_size=1, global_batch_size=1, lora=lora)
    model = adapters.put_in(build(name), recipe).get_base_model()
    factors = {
        name: module for name, module in model.named_modules() if name.endswith((".lora_A.default", ".lora_B.default"))
    }
    torch.manual_seed(3)
    for module in factors.values():
        torch.nn.init.normal_(module.weight, std=0.1)
    return model, factors


def one_by_one(model, factors, found):
    """Gradients [samples, weights] of the mean loss of each sample, by one backward pass per sample."""
    rows = []
    for sample in found:
        model.zero_grad()
        model(input_ids=torch.tensor([sample.input_ids]), labels=torch.tensor([sample.labels])).loss.backward()
        rows.append(torch.cat([module.weight.grad.flatten() for module in factors.values()]))
    return torch.stack(rows)


@pytest.mark.parametrize("name", ["llama-grouped-query", "opt", "gpt2", "gemma2-soft-capping"])
def test_gradients_of_a_batch_are_those_of_its_samples(name):
    model, factors = adapted(name)
    found = samples(5)
    wanted = one_by_one(model, factors, found)
    watched = PerSample(factors)
    with passes.frozen(model), watched.watching():
        made = watched.of(model, projection.head_of(model), found)
    assert watched.size == wanted.shape[1]
    torch.testing.assert_close(made, wanted, rtol=1e-5, atol=1e-5 * wanted.abs().max().item())


def test_gradients_of_a_linear_map_by_hand():
    """Two tokens of one sample: the gradient of the 1 x 2 weight is Σ g xᵀ = 3·[1, 2] + 6·[4, 5]."""
    module = torch.nn.Linear(2, 1, bias=False)
    watched = PerSample({"one": module})
    watched._found, watched._positions = torch.zeros(1, 2), 2
    with watched.watching():
        out = module(torch.tensor([[[1.0, 2.0], [4.0, 5.0]]]).requires_grad_())
        out.backward(torch.tensor([[[3.0], [6.0]]]))
    assert watched._found.tolist() == [[27.0, 36.0]]


def test_adam_by_hand():
    """m = 2, v = 4, g = 10: (0.9·2 + 0.1·10) / √(0.999·4 + 0.001·100) = 2.8 / √4.096."""
    checkpoint = less.Checkpoint(torch.zeros(1), torch.tensor([2.0]), torch.tensor([4.0]), 0.1)
    assert less.adam(torch.tensor([[10.0]]), checkpoint).item() == pytest.approx(2.8 / 4.096**0.5, rel=1e-6)


def test_signs_keep_inner_products():
    vectors = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 500))).float()
    drawn = [project([vectors], 256, seed) for seed in range(40)]
    products = torch.stack([one @ one.T for one in drawn]).mean(dim=0)
    # Each product has a standard deviation of at most √2·|u||v|/√d, here 500·√2/16 = 44; the mean of 40 has one of 7.
    torch.testing.assert_close(products, vectors @ vectors.T, rtol=0, atol=35)
    assert set(signs(16, 64, (0, 0)).unique().tolist()) == {-1.0, 1.0}


def test_a_projection_in_blocks_is_that_by_the_whole_matrix(monkeypatch):
    monkeypatch.setattr("headpatterns.attribution.random_projection.BLOCK_BYTES", 4 * 16 * 7)
    vectors = torch.arange(60.0).reshape(3, 20)
    whole = torch.cat([signs(7, 16, (5, 0)), signs(7, 16, (5, 1)), signs(6, 16, (5, 2))])
    torch.testing.assert_close(project([vectors[:1], vectors[1:]], 16, 5), vectors @ whole / 4)


def plain_features(model, warm, candidates, targets, recipe, dimension):
    """LESS in a few lines: the order of the samples is that of `less.warm_up`, all else is plain PyTorch."""
    peft = adapters.put_in(model, recipe)
    factors = [p for p in peft.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(factors, lr=recipe.learning_rate, weight_decay=0.0)

    def loss(sample):
        return peft(input_ids=torch.tensor([sample.input_ids]), labels=torch.tensor([sample.labels])).loss

    def gradient(sample):
        return torch.cat([one.flatten() for one in torch.autograd.grad(loss(sample), factors)])

    found, rates, step = [[], []], [], 0
    steps_of_epoch = -(-len(warm) // recipe.global_batch_size)
    for epoch in range(int(recipe.epochs)):
        order = sorted(warm, key=lambda one: less.rank(recipe.seed, f"{epoch} {one.id}"))
        own = []
        for start in range(0, len(order), recipe.global_batch_size):
            own.append(recipe.learning_rate * (1 - step / (steps_of_epoch * recipe.epochs)))
            step += 1
            batch = order[start : start + recipe.global_batch_size]
            optimizer.zero_grad()
            (sum(map(loss, batch)) / len(batch)).backward()
            torch.nn.utils.clip_grad_norm_(factors, recipe.max_grad_norm)
            optimizer.param_groups[0]["lr"] = own[-1]
            optimizer.step()
        rates.append(np.mean(own))
        mean, square = (
            torch.cat([optimizer.state[p][key].flatten() for p in factors]) for key in ("exp_avg", "exp_avg_sq")
        )
        vectors = [
            torch.stack([(0.9 * mean + 0.1 * g) / (0.999 * square + 0.001 * g**2 + 1e-8).sqrt()
                         for g in map(gradient, candidates)]),
            torch.stack(list(map(gradient, targets))),
        ]  # fmt: skip
        matrix = signs(vectors[0].shape[1], dimension, (recipe.seed, 0))
        for kept, one in zip(found, vectors, strict=True):
            projected = (one @ matrix).numpy()
            kept.append(projected / np.linalg.norm(projected, axis=1, keepdims=True))
    return np.stack(found[0]), np.stack(found[1]), rates


def test_features_are_those_of_a_plain_implementation():
    warm, pool, target = samples(7, 1), samples(6, 2), samples(4, 3)
    model = build("llama-grouped-query")
    candidates, targets, rates = plain_features(copy.deepcopy(model), warm, pool, target, RECIPE, 32)
    found = less.features(model, warm, {"probe": pool}, {"train": target}, RECIPE, 32)
    assert found.learning_rates == pytest.approx(rates)
    assert rates == pytest.approx([0.02 * 5 / 6, 0.02 * 2 / 6])
    np.testing.assert_allclose(found.features["train"], targets, atol=2e-5)
    np.testing.assert_allclose(found.features["probe"], candidates, atol=2e-4)
    assert set(found.seconds) == {"warm_up", "probe", "train"}


def test_features_do_not_depend_on_what_waits_together(monkeypatch):
    warm, pool = samples(4, 1), samples(9, 2)
    first = less.features(build("llama"), warm, {"probe": pool}, {}, RECIPE, 16).features["probe"]
    monkeypatch.setattr(less, "BUFFER_BYTES", 1)
    monkeypatch.setattr(less, "TOKENS", 12)
    again = less.features(build("llama"), warm, {"probe": pool}, {}, RECIPE, 16).features["probe"]
    np.testing.assert_allclose(first, again, atol=1e-4)


def test_what_less_cannot_do_is_said():
    with pytest.raises(InputError, match=r"no sample for the warm-up: raise studies\.selection\.less\.warm_up"):
        less.features(build("llama"), [], {"probe": samples(2)}, {}, RECIPE, 16)
    with pytest.raises(InputError, match=r"dimension is 80000, but .* have \d+ weights: lower it"):
        less.features(build("llama"), samples(2), {"probe": samples(2)}, {}, RECIPE, 80000)
    other = Recipe(
        learning_rate=0.1, per_device_batch_size=1, global_batch_size=1, lora=Lora(target_modules=("q_prj",))
    )
    with pytest.raises(InputError, match=r"studies\.selection\.less\.lora\.target_modules names q_prj"):
        less.features(build("llama"), samples(2), {"probe": samples(2)}, {}, other, 16)


@pytest.mark.parametrize(
    "name", ["llama-grouped-query", "gemma-multi-query", "opt", "mistral-sliding-window", "qwen3", "qwen2", "gpt2",
             "gpt-oss-attention-sinks"],
)  # fmt: skip
@pytest.mark.parametrize("targets", ["all-linear", ("q_proj", "v_proj"), ("c_attn",)])
def test_the_weights_of_adapters_are_known_before_they_are_put_in(name, targets):
    """The loaded model gives the number; its config gives the same number, or None for some architectures."""
    lora = Lora(rank=2, target_modules=targets)
    model = build(name)
    config = model.config.to_dict()
    if targets != "all-linear" and (name == "gpt2") != (targets == ("c_attn",)):  # the model lacks these
        assert linear_layers.adapter_weights(config, 2, targets) is None
        return
    early, counted = linear_layers.adapter_weights(config, 2, targets), adapters.weights(model, lora)
    recipe = Recipe(learning_rate=0.1, per_device_batch_size=1, global_batch_size=1, lora=lora)
    own = adapters.put_in(model, recipe).get_base_model()
    found = PerSample({name: one for name, one in own.named_modules() if less.is_factor(name, one)}).size
    assert counted == found
    assert early == (None if name in ("gpt2", "gpt-oss-attention-sinks") else found)


def test_a_config_that_leaves_a_size_to_the_library_says_nothing():
    config = {"model_type": "gemma", "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 6}
    assert linear_layers.adapter_weights(config, 2, "all-linear") is None
    config |= {"intermediate_size": 32, "num_key_value_heads": 1}
    assert linear_layers.adapter_weights(config, 2, "all-linear") is None
    assert linear_layers.adapter_weights({**config, "head_dim": 8}, 2, ["v_proj"]) == 3 * 2 * (24 + 8)
    assert linear_layers.adapter_weights({}, 2, "all-linear") is None


def test_a_dimension_beyond_the_adapters_is_refused_before_anything_runs():
    """The embedded Llama has 32 heads in 8 layers of width 128."""
    config = config_of()
    config["studies"]["selection"]["less"] |= {"dimension": 1024}
    config["studies"]["selection"]["less"]["lora"] |= {"rank": 1, "target_modules": ["v_proj"]}
    config["studies"]["selection"]["scored"] = ["less"]
    with refusal("studies.selection.less.dimension", ("adapters of models.llama have", "lower it, or raise")):
        checked(config)
    config["studies"]["selection"]["scored"] = []
    checked(config)


def test_influence_by_hand():
    """Two checkpoints with learning rates 0.3 and 0.1; one sample of a first subtask and two of a second.

    The cosines of the first candidate are (1, 0, 0.6) and (0, 1, 0.8). The weights 0.75 and 0.25 give
    (0.75, 0.25, 0.65), so the subtasks have 0.75 and 0.45. The cosines of the second are (0, 1, 0.8) and
    (-1, 0, -0.6). They give (-0.25, 0.75, 0.45), so the subtasks have -0.25 and 0.6.
    """
    candidates = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [-1.0, 0.0]]])
    targets = np.array([[[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]] * 2)
    groups = np.array([[True, False], [False, True], [False, True]])
    np.testing.assert_allclose(scores.influence_scores(candidates, targets, [0.3, 0.1], groups), [0.75, 0.6])


def tokenized(*ids):
    return [TokenizedSample(id, [5, 6, 7], 1, truncated=False) for id in ids]


def order(folder, warm_up, pools=("abcd", "bcde"), targets=("x", "yz")):
    """An order of LESS whose lists are written into a folder."""
    listed = []
    for kind, lists in (("pool", pools), ("target", targets)):
        paths = [folder / f"{kind}{number}.csv" for number in range(len(lists))]
        for path, ids in zip(paths, lists, strict=True):
            training_sets.write(path, [("mmlu", id) for id in ids])
        listed.append(paths)
    settings = {"warm_up": warm_up, "epochs": 2, "batch_size": 2, "learning_rate": 0.02, "dimension": 16, "seed": 0,
                "lora": {"rank": 2, "alpha": 4.0, "dropout": 0.0, "target_modules": "all-linear"}}  # fmt: skip
    return gradients.Order.of(settings, *listed)


def test_less_warms_up_on_what_all_pools_have(tmp_path):
    samples_of = {"probe": tokenized(*"abcdef"), "train": tokenized(*"wxyz")}
    found = gradients.chosen(order(tmp_path, 1.0), samples_of)
    assert {one.id for one in found.warm_up} == set("bcd")
    assert [one.id for one in found.pool] == list("abcde") and [one.id for one in found.targets] == list("xyz")
    assert len(gradients.chosen(order(tmp_path, 0.4), samples_of).warm_up) == 1


def test_a_warm_up_without_samples_is_refused(tmp_path):
    samples_of = {"probe": tokenized(*"abcdef"), "train": tokenized(*"wxyz")}
    with pytest.raises(InputError, match=r"warm_up is 0\.1, which selects none of the 3 samples .*: raise it\."):
        gradients.chosen(order(tmp_path, 0.1), samples_of)
    with pytest.raises(InputError, match=r"of the 0 samples that all pools have"):
        gradients.chosen(order(tmp_path, 1.0, pools=("ab", "cd")), samples_of)
    with pytest.raises(InputError, match=r"target0\.csv lists no sample"):
        gradients.chosen(order(tmp_path, 1.0, targets=("q",)), samples_of)


def test_gradients_are_found_by_ids_and_must_be_whole(tmp_path):
    some = gradients.Samples(*(tokenized(*ids) for ids in ("ab", "abc", "xy")))
    gradients.write(order(tmp_path, 1.0), some, build("llama"), tmp_path)
    found = gradients.load(tmp_path, "probe")
    assert found.ids == ["a", "b", "c"] and found.values.shape == (2, 3, 16)
    np.testing.assert_array_equal(found.of(["c", "a"]), found.values[:, [2, 0]])
    with pytest.raises(InputError, match=r"less\.json lacks the sample q: run the rule read_candidates again\."):
        found.of(["q"])
    np.save(tmp_path / "train.less.npy", np.zeros((2, 1, 16)))
    with pytest.raises(InputError, match="have different numbers of samples"):
        gradients.load(tmp_path, "train")
    (tmp_path / "less.json").unlink()
    with pytest.raises(InputError, match=r"cannot be read .*: run the rule read_candidates again\."):
        gradients.load(tmp_path, "probe")


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"dimension": 12}, "studies.selection.less.dimension"), ({"warm_up": 0.0}, "studies.selection.less.warm_up"),
     ({"epochs": 0}, "studies.selection.less.epochs"), ({"rank": 2}, "studies.selection.less.rank")],
)  # fmt: skip
def test_keys_of_less_are_checked(changed, said):
    config = config_of()
    config["studies"]["selection"]["less"] |= changed
    with pytest.raises(InputError, match=said):
        checked(config)


HOW = {"warm_up": 0.5, "epochs": 1, "batch_size": 2, "learning_rate": 0.02, "dimension": 16, "seed": 0,
       "lora": {"rank": 2, "alpha": 4.0, "dropout": 0.0, "target_modules": ["q_proj", "v_proj"]}}  # fmt: skip


@pytest.fixture
def reading(tmp_path, tokenizer):
    """Options of read_candidates for four candidates and two samples of a target."""
    model = build("llama", vocab_size=len(tokenizer))
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    for name, ids in (("probe", "abcd"), ("train", "xy")):
        rows = [{"id": id, "prompt": f"Say {id}.\n", "response": f"It is {id} {id}."} for id in ids]
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        training_sets.write(tmp_path / f"{name}.csv", [("mmlu", id) for id in ids])
    return {
        "model": tmp_path / "model", "name": ["train", "probe"], "max_length": 48, "less": json.dumps(HOW),
        "data": [tmp_path / "train.jsonl", tmp_path / "probe.jsonl"], "pools": [tmp_path / "probe.csv"],
        "targets": [tmp_path / "train.csv"], "output": tmp_path / "found",
    }  # fmt: skip


def test_candidates_are_read_with_their_gradients_and_the_states_of_the_model_without_adapters(reading):
    scripts.run("read_candidates", **reading)
    found = gradients.load(reading["output"], "probe")
    assert found.ids == list("abcd") and found.values.shape == (1, 4, 16)
    np.testing.assert_allclose(np.linalg.norm(found.values, axis=2), 1, rtol=1e-5)
    plain = {name: value for name, value in reading.items() if name not in ("less", "pools", "targets")}
    scripts.run("read_candidates", **plain | {"output": reading["output"].with_name("plain")})
    states = [np.load(reading["output"].with_name(name) / "probe.states.npy") for name in ("found", "plain")]
    np.testing.assert_array_equal(*states)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"targets": []}, "give --pools and --targets together with --less"),
        ({"less": json.dumps(HOW | {"rank": 3})}, "--less lacks a key or has an unknown one"),
        ({"less": json.dumps(HOW | {"warm_up": 0.1})}, "warm_up is 0.1, which selects none of the 4 samples"),
        ({"less": json.dumps(HOW | {"dimension": 800_000})}, "less.dimension is 800000, but the adapters of"),
    ],
)
def test_a_wrong_order_is_one_sentence(reading, changed, said, capfd, monkeypatch):
    given = {name: value for name, value in (reading | changed).items() if value != []}
    assert said in scripts.refused(capfd, monkeypatch, "read_candidates", **given)
    assert not reading["output"].exists()
