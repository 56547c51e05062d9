"""LoRA adapters that PEFT has saved: the package merges them as PEFT does, and refuses those that do not fit."""

import json

import peft
import pytest
import safetensors.torch
import torch
from refusals import refusal
from tiny_models import VOCABULARY, build
from transformers import AutoModelForCausalLM

from headpatterns.experiment import own
from headpatterns.io import read_json
from headpatterns.models import load_model, load_tokenizer, lora

TOKENS = torch.arange(3, 19)[None]
QUERIES = {"target_modules": ["q_proj", "v_proj"]}
KINDS = {
    "all-linear": ("llama-grouped-query", {"target_modules": "all-linear"}),
    "queries and values": ("llama-grouped-query", QUERIES),
    "regular expression": ("llama-grouped-query", {"target_modules": r".*\.mlp\.(up|down)_proj"}),
    "rsLoRA": ("llama-grouped-query", {**QUERIES, "use_rslora": True, "lora_alpha": 7}),
    "ranks and alphas of their own": (
        "llama-grouped-query",
        {
            **QUERIES,
            "rank_pattern": {"v_proj": 2},
            "alpha_pattern": {"layers.1.self_attn.q_proj": 5, r"layers\.2\..*v_proj": 9},
        },
    ),
    "some layers": ("llama-grouped-query", {**QUERIES, "layers_to_transform": [0, 2]}),
    "embeddings": ("llama-grouped-query", {"target_modules": ["embed_tokens", "lm_head", "k_proj"]}),
    "transposed weights": ("gpt2", {"target_modules": ["c_attn", "mlp.c_fc"], "fan_in_fan_out": True}),
    "weights with biases": ("opt", {"target_modules": "all-linear", "exclude_modules": ["fc2"]}),
}
"""Settings of PEFT: an architecture, and keys of its LoraConfig."""


@pytest.fixture(scope="module")
def bases(tmp_path_factory, tokenizer):
    """Folders of random models by architecture, made once."""

    def base(name, **changed):
        known = (name, *sorted(changed.items()))
        if known not in made:
            folder = made[known] = tmp_path_factory.mktemp("base") / name
            build(name, **changed).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        return made[known]

    made = {}
    return base


def wrapped(base, seed=0, **settings):
    """PEFT's model of a base, with random factors that are not zero, as after training."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=4, **settings))
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn_like(parameter))
    return adapted.eval()


@pytest.fixture
def adapter(tmp_path, model_folder):
    """The folder of an adapter of the queries and values of `model_folder`."""
    wrapped(model_folder, **QUERIES).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def change(folder, **values):
    """Write other values into the config of an adapter."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(read_json(path) | values))


def rename(folder, changed):
    """Write the weights of an adapter with the names and values that `changed` returns; None drops a weight."""
    path = folder / "adapter_model.safetensors"
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file(dict(filter(None, (changed(*item) for item in tensors.items()))), path)


def logits(model):
    with torch.inference_mode():
        return model(TOKENS).logits


@pytest.mark.parametrize("kind", KINDS)
def test_a_merged_model_is_the_one_that_peft_merges(tmp_path, bases, kind):
    name, settings = KINDS[kind]
    base = bases(name)
    adapted = wrapped(base, **settings)
    adapted.save_pretrained(tmp_path / "adapter")
    before, expected = logits(load_model(base)), logits(adapted)
    lora.check(tmp_path / "adapter", base)
    lora.merge(tmp_path / "adapter", base, tmp_path / "merged", "float32")
    merged = load_model(tmp_path / "merged")
    assert (logits(merged) - expected).abs().max() < 1e-4 * (before - expected).abs().max()
    for (name, ours), theirs in zip(merged.named_parameters(), adapted.merge_and_unload().parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6 * theirs.abs().max().item(), msg=name)


def test_a_merged_folder_says_what_it_is_made_of_and_reads_text_as_its_base(tmp_path, model_folder, adapter):
    lora.merge(adapter, model_folder, tmp_path / "merged", "bfloat16")
    made = read_json(tmp_path / "merged" / "lora.json")
    assert (made["adapter"], made["trained_on"], made["rank"], made["alpha"]) == ("adapter", str(model_folder), 4, 8)
    assert made["modules"] == 6 and len(made["sha256"]) == 64
    assert read_json(tmp_path / "merged" / "config.json")["dtype"] == "bfloat16"
    text = "Question: What is 2 plus 4?"
    assert load_tokenizer(tmp_path / "merged")(text) == load_tokenizer(model_folder)(text)


def test_sums_are_rounded_once(tmp_path, model_folder, adapter):
    """A sum in bfloat16 would lose most of a small product, and the base is not rounded before the sum."""
    rename(adapter, lambda name, tensor: (name, (tensor / 8).bfloat16()))
    for dtype in ("float32", "bfloat16"):
        lora.merge(adapter, model_folder, tmp_path / dtype, dtype)
    exact, rounded = (load_model(tmp_path / dtype, dtype) for dtype in ("float32", "bfloat16"))
    for one, other in zip(exact.parameters(), rounded.parameters(), strict=True):
        assert torch.equal(one.bfloat16(), other)


def test_the_tokenizer_is_the_adapters_where_it_brings_one(tmp_path, model_folder, adapter):
    own_tokenizer = load_tokenizer(model_folder)
    own_tokenizer.chat_template = "{{ messages }}"
    own_tokenizer.save_pretrained(adapter)
    lora.merge(adapter, model_folder, tmp_path / "merged", "float32")
    assert load_tokenizer(tmp_path / "merged").chat_template == "{{ messages }}"


OTHERS = {
    "fewer layers": ({"num_hidden_layers": 2}, "it changes model.layers.2.self_attn"),
    "more layers": ({"num_hidden_layers": 4}, "its config targets model.layers.3.self_attn.q_proj"),
    "another width": ({"hidden_size": 48}, "of the shape (24, 24), which is (48, 48) here"),
    "more heads for values": ({"num_key_value_heads": 6}, "of the shape (8, 24), which is (24, 24) here"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_an_adapter_of_another_base_is_refused(tmp_path, bases, adapter, model_folder, other):
    changed, said = OTHERS[other]
    base = bases("llama-grouped-query", vocab_size=VOCABULARY, **changed)
    hints = (said, f"it was trained on {model_folder}", "give the base model that it was trained on")
    with refusal(str(base), hints):
        lora.check(adapter, base)
    with refusal(str(adapter), hints):
        lora.merge(adapter, base, tmp_path / "merged", "float32")
    assert not (tmp_path / "merged").exists()


def test_an_adapter_of_another_architecture_is_refused(bases, adapter):
    with refusal(str(bases("gpt2")), ("which this model lacks", "give the base")):
        lora.check(adapter, bases("gpt2"))


@pytest.mark.parametrize("end", ["embed_tokens", "lm_head"])
def test_a_tied_embedding_cannot_be_merged(tmp_path, bases, end):
    base = bases("llama", tie_word_embeddings=True)
    wrapped(base, target_modules=[end]).save_pretrained(tmp_path / "adapter")
    with refusal(
        str(tmp_path / "adapter"), (end, "shares this weight between input and output", "train an adapter without it")
    ):
        lora.check(tmp_path / "adapter", base)


KEYS = {
    "DoRA": ({"use_dora": True}, "use_dora: True"),
    "whole modules": ({"modules_to_save": ["lm_head"]}, "modules_to_save: ['lm_head']"),
    "biases": ({"bias": "all"}, "bias: 'all'"),
    "a base that was changed first": ({"init_lora_weights": "pissa"}, "init_lora_weights: 'pissa'"),
    "a key of a later version": ({"use_nosuch": True}, "use_nosuch: True"),
    "trained tokens": ({"trainable_token_indices": [1]}, "trainable_token_indices: [1]"),
    "another kind": ({"peft_type": "IA3"}, "of the kind IA3, not LORA"),
}


@pytest.mark.parametrize("key", KEYS)
def test_what_is_more_than_lora_is_refused_by_name(adapter, model_folder, key):
    values, said = KEYS[key]
    change(adapter, **values)
    with refusal(f"{adapter}/adapter_config.json", (said, "merge_and_unload")):
        lora.check(adapter, model_folder)


def test_an_adapter_that_is_not_whole_is_refused(adapter, model_folder):
    weights = adapter / "adapter_model.safetensors"
    with refusal(str(model_folder), ("no adapter", "save_pretrained")):
        lora.check(model_folder, model_folder)
    whole = weights.read_bytes()
    rename(adapter, lambda name, tensor: None if "layers.1.self_attn.v_proj.lora_B" in name else (name, tensor))
    with refusal(str(weights), ("model.layers.1.self_attn.v_proj", "give the complete adapter")):
        lora.check(adapter, model_folder)
    weights.write_bytes(whole)
    rename(adapter, lambda name, tensor: None if "layers.1.self_attn.v_proj" in name else (name, tensor))
    with refusal(str(adapter), "targets model.layers.1.self_attn.v_proj, but it has no weights"):
        lora.check(adapter, model_folder)
    weights.write_bytes(whole)
    rename(adapter, lambda name, tensor: (name, tensor * float("nan") if "layers.2" in name else tensor))
    with refusal(str(weights), ("model.layers.2", "NaN", "finite weights")):
        lora.check(adapter, model_folder)
    weights.write_bytes(whole)
    rename(adapter, lambda name, tensor: (name.replace("lora_A", "lora_magnitude_vector"), tensor))
    with refusal(str(weights), ("lora_magnitude_vector", "not a factor of LoRA")):
        lora.check(adapter, model_folder)
    weights.write_bytes(whole[:-100])
    with refusal(str(weights), ("cannot be read", "give the complete adapter")):
        lora.check(adapter, model_folder)
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with refusal(str(weights), ("Git LFS pointer", "git lfs pull")):
        lora.check(adapter, model_folder)
    weights.unlink()
    with refusal(str(adapter), ("no adapter_model.safetensors", "give the complete adapter")):
        lora.check(adapter, model_folder)
    change(adapter, r=None)
    with refusal(f"{adapter}/adapter_config.json", ("lacks r", "save the adapter with PEFT again")):
        lora.check(adapter, model_folder)


def test_a_pickled_adapter_is_never_read(adapter, model_folder):
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with refusal(f"{adapter}/adapter_model.bin", ("pickled", "safetensors")):
        lora.check(adapter, model_folder)


def test_an_adapter_given_as_a_model_is_told_from_one(adapter, model_folder):
    for given in (lambda: load_model(adapter), lambda: lora.merge(adapter, adapter, adapter / "merged", "float32")):
        with refusal(str(adapter), ("adapter", "merge it", "source.lora")):
            given()
    said = own.OwnFiles({}).problem("model", str(adapter))
    assert str(adapter) in said and "merge it" in said and "source.lora" in said
