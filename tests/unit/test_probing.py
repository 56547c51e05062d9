"""Tokenizers and models are probed when they are loaded, so that they do not fail or go wrong hours later."""

import json
import shutil
import sys

import pytest
import torch
from tiny_models import VOCABULARY
from tokenizers import processors
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

import headpatterns
from headpatterns.data.tokens import tokenize
from headpatterns.errors import InputError
from headpatterns.io import unfinished
from headpatterns.models import load_model, load_tokenizer, probing
from headpatterns.training import train as training
from headpatterns.training.batches import collator
from headpatterns.training.recipe import Recipe


@pytest.fixture
def changed(model_folder, tmp_path):
    """Copies the model's folder, and changes some keys of a JSON file in it."""

    def change(file, **keys):
        folder = tmp_path / "model"
        if not folder.exists():
            shutil.copytree(model_folder, folder)
        path = folder / file
        path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | keys))
        return folder

    return change


# Tokenizers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"eos_token": None}, "has no EOS token: set eos_token in its tokenizer_config.json"),
        ({"eos_token": ""}, "has no EOS token: set eos_token in its tokenizer_config.json"),
        ({"eos_token": "", "bos_token": "", "unk_token": ""}, "has no EOS token: set eos_token in its"),
        ({"bos_token": ""}, "has an empty BOS token: give bos_token its text in its"),
        ({"unk_token": ""}, "has an empty unknown token: give unk_token its text in its"),
        (
            {"eos_token": "<|end|>"},
            rf"has the EOS token '<\|end\|>' with the id {VOCABULARY}, but the model has {VOCABULARY} embeddings",
        ),
    ],
)
def test_special_tokens_that_texts_cannot_have(changed, keys, sentence):
    with pytest.raises(InputError, match=sentence):
        load_tokenizer(changed("tokenizer_config.json", **keys))


def test_a_special_token_that_is_read_as_the_unknown_one(tokenizer_folder, tmp_path):
    """A Python tokenizer gives unknown tokens the id of the unknown token. Here, the pad token is the unknown token."""
    folder = tmp_path / "tokenizer"
    saved = PreTrainedTokenizerFast.from_pretrained(tokenizer_folder)
    saved.unk_token = saved.pad_token
    saved.save_pretrained(folder)
    loaded = load_tokenizer(folder)
    loaded._special_tokens_map["eos_token"] = "<none>"
    with pytest.raises(InputError, match="has the EOS token '<none>', which is not in its vocabulary: set eos_token"):
        probing.check_tokenizer(loaded, folder)


@pytest.mark.parametrize(("text", "sentence"), [("{", "is not valid JSON"), ("[]", "is not a JSON object: fix it")])
def test_a_config_beside_a_tokenizer_that_is_none(changed, tokenizer, text, sentence):
    folder = changed("config.json")
    (folder / "config.json").write_text(text)
    with pytest.raises(InputError, match=rf"config\.json {sentence}"):
        probing.check_tokenizer(tokenizer, folder)


@pytest.mark.parametrize("padding", ["", "[PAD]"])
def test_padding_without_an_embedding_is_left_to_eos(changed, padding):
    folder = changed("tokenizer_config.json", pad_token=padding)
    tokenizer, model = load_tokenizer(folder), load_model(folder)
    samples = [{"input_ids": [5] * length, "labels": [5] * length} for length in (2, 4)]
    batch = collator(tokenizer, model, padding_free=False)(samples)
    assert batch["input_ids"][0].tolist() == [5, 5, *[tokenizer.eos_token_id] * 2]
    assert torch.isfinite(model(**batch).loss)


def test_a_model_whose_config_has_padding_beyond_its_embeddings(changed, model_folder):
    model = load_model(changed("config.json", pad_token_id=VOCABULARY))
    assert model.config.pad_token_id is None
    ids = torch.arange(3, 20)[None]
    assert torch.equal(model(ids).logits, load_model(model_folder)(ids).logits)


def test_a_template_and_a_setting_that_both_put_bos(tokenizer_folder, tokenizer, tmp_path):
    twice = load_tokenizer(tokenizer_folder)
    bos, number = twice.bos_token, twice.bos_token_id
    twice.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} {bos} $A", special_tokens=[(bos, number)]
    )
    twice.save_pretrained(tmp_path / "twice")
    given = ("a", "Question: 3?\nAnswer:", " Four.", 1000)
    assert twice("x")["input_ids"][:2] == [number] * 2
    assert tokenize(load_tokenizer(tmp_path / "twice"), *given) == tokenize(tokenizer, *given)


def test_a_sentencepiece_model_whose_reader_is_not_installed(changed, monkeypatch):
    """The message names the package to install: protobuf, although transformers advises another package."""
    folder = changed("tokenizer_config.json")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    with pytest.raises(InputError, match="is a SentencePiece model, which only the Python package protobuf can read"):
        load_tokenizer(folder)


def test_a_tokenizer_of_sentencepiece_alone(model_folder, tmp_path):
    pytest.importorskip("google.protobuf")
    import sentencepiece

    folder, corpus = tmp_path / "model", tmp_path / "corpus.txt"
    corpus.write_text("".join(f"Once there was a dog number {n} that ran in the park.\n" for n in range(200)))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(tmp_path / "own"), vocab_size=300, model_type="bpe", byte_fallback=True
    )
    shutil.copytree(model_folder, folder)
    (folder / "tokenizer.json").unlink()
    (tmp_path / "own.model").rename(folder / "tokenizer.model")
    keys = {
        "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "add_bos_token": True,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(keys))
    own = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    sample = tokenize(load_tokenizer(folder), "a", "Once there was", " a dog.", 100)
    assert sample.input_ids == [own.bos_id(), *own.encode("Once there was a dog."), own.eos_id()]
    assert sample.response_start == 1 + len(own.encode("Once there was"))


# Models ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [{"output_attentions": True}, {"output_hidden_states": True}, {"return_dict": False}])
def test_a_config_of_somebody_who_looked_at_attention_trains_and_saves(changed, tmp_path, keys):
    folder = changed("config.json", **keys)
    samples = [{"input_ids": list(range(5, 5 + length)), "labels": [-100, *range(6, 5 + length)]} for length in (6, 9)]
    recipe = Recipe(
        learning_rate=1e-3, max_steps=2, per_device_batch_size=2, global_batch_size=2, checkpoint_steps=(1,)
    )
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    with training.session(recipe, "cpu"):
        training.train(model, tokenizer, samples, recipe, "identity", tmp_path / "run")
    workplace = unfinished(tmp_path / "run")
    assert (workplace / "intermediate/step-1/model.safetensors").is_file()
    saved = load_model(workplace / "final")
    assert not saved.config.output_attentions
    assert torch.equal(saved.lm_head.weight, model.lm_head.weight)


def test_what_saving_would_refuse_is_refused_on_loading(changed, monkeypatch):
    """Transformers refuses to save generation settings that contradict each other, if they were changed."""
    folder = changed("generation_config.json", eos_token_id=2)
    load = AutoModelForCausalLM.from_pretrained

    def contradictory(*given, **named):
        model, report = load(*given, **named)
        model.generation_config.temperature, model.generation_config.do_sample = 0.5, False
        return model, report

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", contradictory)
    with pytest.raises(InputError, match=r"could not be saved \(generation_config: .*correct its generation_config"):
        load_model(folder)


# The table ------------------------------------------------------------------------------------------------------------


def test_a_model_is_checked_as_a_table(model_folder, capsys):
    rows = headpatterns.check_model(model_folder)
    assert [(row.name, row.result) for row in rows] == [
        ("tokenizer", "ok"),
        ("model", "ok"),
        ("patterns", "ok"),
        ("batches", "ok"),
    ]
    assert "EOS </s>, BOS <s>, padding <pad>" in rows[0].detail
    assert "3 layers × 6 heads" in rows[1].detail
    assert rows[3].detail == "a sample gives the same result in any"
    table = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in table] == [[row.name, row.result] for row in rows]


def test_a_check_that_is_refused_is_the_last(changed):
    rows = headpatterns.check_model(changed("tokenizer_config.json", eos_token=""))
    assert [(row.name, row.result) for row in rows] == [("tokenizer", "refused")]
    assert "has no EOS token" in rows[0].detail
