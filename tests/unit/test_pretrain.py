"""Base models of the embedded experiment are built from a config's architecture, and learn."""

import csv
import json
import re

import pytest
import scripts
import torch
from recipes import with_recipe
from tiny_models import VOCABULARY

from headpatterns.errors import InputError
from headpatterns.models import loading as models
from headpatterns.models.loading import checkpoints
from headpatterns.training import pretrain

pytestmark = pytest.mark.slow

SIZE = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64}
ARCHITECTURES = {
    "llama": {"model_type": "llama", **SIZE, "intermediate_size": 48, "num_key_value_heads": 2, "rope_theta": 500.0},
    "gemma": {"model_type": "gemma", **SIZE, "intermediate_size": 48, "num_key_value_heads": 1, "head_dim": 8},
    "opt": {"model_type": "opt", **SIZE, "ffn_dim": 48, "word_embed_proj_dim": 24, "dropout": 0.0},
}


def options(architecture, tokenizer_folder, corpus, output, **values):
    given = {
        "architecture": json.dumps(architecture),
        "tokenizer": tokenizer_folder,
        "corpus": corpus,
        "block_size": 32,
        "output": output,
        "learning_rate": 1e-2,
        "per_device_batch_size": 8,
        "global_batch_size": 8,
        "max_steps": 40,
        "checkpoint_steps": [20],
        **values,
    }
    return with_recipe(given)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_models_learn(name, tokenizer_folder, corpus, tmp_path):
    scripts.run("pretrain", **options(ARCHITECTURES[name], tokenizer_folder, corpus, tmp_path / "run"))
    with (tmp_path / "run" / "training.csv").open(newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 40
    assert losses[0] > 5 and sum(losses[-5:]) / 5 < losses[0] - 1
    folders = checkpoints(tmp_path / "run")
    assert list(folders) == [20, 40]
    model = models.load_model(folders[40])
    assert model.config.model_type == name
    assert model.get_input_embeddings().num_embeddings == VOCABULARY
    assert (model.config.num_hidden_layers, model.config.num_attention_heads) == (2, 4)
    tokenizer = models.load_tokenizer(folders[20])
    ids = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    assert (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id) == ids


def test_the_same_seed_gives_the_same_weights(tokenizer_folder, corpus, tmp_path):
    for name, seed in {"one": 0, "two": 0, "three": 1}.items():
        scripts.run(
            "pretrain",
            **options(
                ARCHITECTURES["llama"],
                tokenizer_folder,
                corpus,
                tmp_path / name,
                max_steps=3,
                checkpoint_steps=[],
                seed=seed,
            ),
        )
    one, two, three = (
        (tmp_path / name / "final" / "model.safetensors").read_bytes() for name in ("one", "two", "three")
    )
    assert one == two != three


def test_blocks_are_documents_and_long_ones_are_cut(tokenizer, tmp_path):
    texts = ["3 cats.", "数学", "A longer text, with 12 words or so, to fill some blocks of eight tokens."]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    documents = [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in texts]
    blocks = pretrain.blocks(tmp_path / "corpus.jsonl", tokenizer, 1000)
    assert [block["input_ids"] for block in blocks] == documents
    short = len(documents[2]) - 1  # one token is left over, and it predicts nothing
    blocks = pretrain.blocks(tmp_path / "corpus.jsonl", tokenizer, short)
    assert [block["input_ids"] for block in blocks] == [*documents[:2], documents[2][:short]]
    blocks = pretrain.blocks(tmp_path / "corpus.jsonl", tokenizer, 8)
    cut = [ids[start : start + 8] for ids in documents for start in range(0, len(ids), 8)]
    assert [block["input_ids"] for block in blocks] == [ids for ids in cut if len(ids) > 1]
    assert all(block["labels"] == block["input_ids"] for block in blocks) and len(blocks) > 3
    with pytest.raises(InputError, match=r"corpus\.jsonl has no block of two tokens or more: .*block_size"):
        pretrain.blocks(tmp_path / "corpus.jsonl", tokenizer, 1)


@pytest.mark.parametrize("padding_free", [True, False])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_loss_of_a_step_is_that_of_its_documents_alone(name, padding_free, tokenizer_folder, tokenizer, tmp_path):
    texts = ["3 cats.", "A longer text, with 12 words or so.", "数学", "Two dogs and 4 cats."]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    step = {"per_device_batch_size": 4, "global_batch_size": 4, "max_steps": 1, "checkpoint_steps": []}
    step |= {"block_size": 64, "padding_free": padding_free}
    corpus = tmp_path / "corpus.jsonl"
    scripts.run("pretrain", **options(ARCHITECTURES[name], tokenizer_folder, corpus, tmp_path / "run", **step))
    (row,) = csv.DictReader((tmp_path / "run" / "training.csv").open(newline=""))
    model = pretrain.build(ARCHITECTURES[name], models.load_tokenizer(tokenizer_folder), 0)
    documents = [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in texts]
    losses = []
    for ids in documents:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
        losses += torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none").tolist()
    assert float(row["loss"]) == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert int(row["tokens"]) == sum(map(len, documents))


LLAMA = ARCHITECTURES["llama"]


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ({**LLAMA, "hiden_size": 24}, "llama has no field 'hiden_size'"),
        ({**LLAMA, "model_type": "lama"}, "transformers has no model_type 'lama'"),
        (SIZE, "transformers has no model_type 'None'"),
        ({**LLAMA, "hidden_size": "large"}, "'hidden_size' expected int, got str"),
        ({**LLAMA, "num_attention_heads": 5}, "is not a multiple of the number of attention heads (5)"),
        ({**ARCHITECTURES["opt"], "num_attention_heads": 5}, "must be divisible by num_heads"),
        ({**LLAMA, "vocab_size": 9}, "vocab_size"),
        ({"model_type": "clip"}, "CLIPConfig"),
    ],
    ids=str,
)
def test_architectures_that_cannot_be_built(
    architecture, reason, tokenizer_folder, corpus, tmp_path, capfd, monkeypatch
):
    sentence = scripts.refused(
        capfd, monkeypatch, "pretrain", **options(architecture, tokenizer_folder, corpus, tmp_path / "run")
    )
    assert sentence.startswith("pretrain: no model can be built from the architecture {")
    assert reason in sentence
    assert not list(tmp_path.iterdir())


def test_blocks_longer_than_the_model_reads(tokenizer_folder, corpus, tmp_path):
    given = options(ARCHITECTURES["opt"], tokenizer_folder, corpus, tmp_path / "run", block_size=65)
    with pytest.raises(InputError, match=r"65 tokens, but the architecture has 64 positions: set .*block_size to 64"):
        scripts.run("pretrain", **given)


def test_fewer_blocks_than_a_step(tokenizer_folder, corpus, tmp_path):
    few = tmp_path / "few.jsonl"
    few.write_text('{"text": "A short document."}\n', encoding="utf-8")
    given = options(ARCHITECTURES["llama"], tokenizer_folder, few, tmp_path / "run", block_size=64)
    with pytest.raises(InputError, match=r"few\.jsonl gives 1 blocks, less than the 8 of one step: raise embedded\."):
        scripts.run("pretrain", **given)
    assert not (tmp_path / "run").exists()


def test_blocks_without_tokens(tokenizer_folder, corpus, tmp_path):
    given = options(ARCHITECTURES["llama"], tokenizer_folder, corpus, tmp_path / "run", block_size=0)
    with pytest.raises(InputError, match=r"--block-size is 0: give 1 or more\.$"):
        scripts.run("pretrain", **given)


def test_another_block_size_discards_an_unfinished_run(tokenizer_folder, corpus, tmp_path, capfd):
    (tmp_path / "run").write_text("in the way of a finished run")
    with pytest.raises(FileExistsError):
        scripts.run(
            "pretrain", **options(LLAMA, tokenizer_folder, corpus, tmp_path / "run", max_steps=4, resume_every=2)
        )
    (tmp_path / "run").unlink()
    assert list((tmp_path / "run.unfinished" / "state").glob("checkpoint-2/trainer_state.json"))
    capfd.readouterr()
    scripts.run(
        "pretrain",
        **options(LLAMA, tokenizer_folder, corpus, tmp_path / "run", max_steps=4, resume_every=2, block_size=16),
    )
    assert re.search(r"step (\d+)/4", capfd.readouterr().out)[1] == "1"
