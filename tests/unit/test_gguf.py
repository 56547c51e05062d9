"""GGUF files, written with the real library: headers, conversion to a model folder, its logits and tokens, refusals."""

import hashlib
import json
import os
import struct

import gguf
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import scripts
import tokenizers_of_all_kinds as kinds
import torch
from gguf import GGMLQuantizationType as Kind
from gguf_files import as_fast, as_qwen2, model_of, single_digits, tensors_of, write
from refusals import refusal

from headpatterns.models import conversion, gguf_header, load_model, load_tokenizer
from headpatterns.models.gguf_header import read_header

TEXTS = (
    "Question: What is the capital of France?\nAnswer: Paris is 1234 km away.",
    "  There is   12  of\n\n\nthem\t\tthere  ",
    "",
    "def answer(q):\n    return 10",
    "<s>It's é 漢 1  2</s>",
    " answer",
)


FAMILIES = {
    "qwen2": ({}, as_qwen2, "qwen2"),
    "qwen3": ({"head_dim": 128}, kinds.KINDS["gpt2"], "gpt-2"),
    "gemma3_text": (
        {"head_dim": 32, "tied": True, "num_hidden_layers": 6, "sliding_window": 8},
        kinds.KINDS["gpt2"],
        "gpt-2",
    ),
}
"""Other common architectures: their configs, a vocabulary, and the name of its way to split texts."""


@pytest.fixture(scope="module")
def tokenizer():
    return kinds.fast("gpt2")


@pytest.fixture(scope="module")
def model(tokenizer):
    return model_of(len(tokenizer))


@pytest.fixture(scope="module")
def files(tmp_path_factory, model, tokenizer):
    """The same model stored in several ways, by their names."""
    folder = tmp_path_factory.mktemp("gguf")
    stored = (Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0)
    return {kind.name: write(folder / f"tiny.{kind.name}.gguf", model, tokenizer, kind) for kind in stored}


@pytest.fixture(scope="module")
def folders(files):
    """The model folders that are converted from `files`."""
    made = {name: file.with_suffix("") for name, file in files.items()}
    for name, folder in made.items():
        scripts.run("convert_gguf", gguf=files[name], output=folder)
    return made


def without(key):
    """Leave a key out of a file that is being written."""
    return lambda writer: writer.kv_data[0].pop(key)


def with_value(key, value):
    """Write another number for a key that the file has."""

    def change(writer):
        writer.kv_data[0][key].value = value

    return change


def logits(model):
    """The logits of one sequence of every fifth token."""
    ids = torch.arange(0, model.config.vocab_size, 5)[None]
    with torch.inference_mode():
        return model(ids).logits


# What a header contains.


def test_a_header_tells_sizes_and_quantization(files, model):
    header = read_header(files["Q8_0"])
    assert (header.architecture, header.quantization) == ("llama", "Q8_0")
    assert header.kinds == {"Q8_0": 16, "F32": 5}
    assert header.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert header.config() == {
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "hidden_size": 64,
        "head_dim": 16,
        "max_position_embeddings": 128,
    }


def test_a_file_that_does_not_name_its_quantization_is_called_after_most_of_its_numbers(tmp_path, model, tokenizer):
    file = write(tmp_path / "x.gguf", model, tokenizer, Kind.F16, change=without("general.file_type"))
    assert "general.file_type" not in read_header(file).metadata
    assert read_header(file).quantization == "F16"


def test_a_header_is_read_as_the_library_reads_it(files):
    for file in files.values():
        header, theirs = read_header(file), gguf.GGUFReader(file)
        assert [(one.name, one.shape, one.kind) for one in header.tensors] == [
            (one.name, tuple(one.shape.tolist()[::-1]), one.tensor_type.name) for one in theirs.tensors
        ]
        assert [one.end for one in header.tensors] == [one.data_offset + one.n_bytes for one in theirs.tensors]
        for key, value in header.metadata.items():
            found = theirs.fields[key].contents()
            if isinstance(value, tuple):
                assert list(value) == found, key
            else:
                assert value == (len(found) if isinstance(found, list) else found), key


def test_a_file_that_changes_is_read_again(tmp_path, model, tokenizer):
    file = write(tmp_path / "x.gguf", model, tokenizer, Kind.F32)
    assert read_header(file).quantization == "F32"
    write(file, model, tokenizer, Kind.Q8_0)
    assert read_header(file).quantization == "Q8_0"


# Logits and tokens of the folder.


def test_float32_weights_come_back_bit_by_bit(folders, model):
    converted = load_model(folders["F32"])
    theirs = dict(converted.named_parameters())
    for name, parameter in model.named_parameters():
        assert torch.equal(theirs[name], parameter), name
    assert torch.equal(logits(converted), logits(model))


@pytest.mark.parametrize(("kind", "spacing"), [("F16", 2**-11), ("BF16", 2**-8)])
def test_rounded_weights_are_the_nearest_ones(folders, model, kind, spacing):
    theirs = dict(load_model(folders[kind]).named_parameters())
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            assert torch.equal(theirs[name], parameter), name
        else:
            assert ((theirs[name] - parameter).abs() <= spacing * parameter.abs() + 1e-7).all(), name


def test_quantized_weights_are_within_half_a_step_of_their_block(folders, model):
    """Q8_0 stores 32 numbers of a row as multiples of the largest over 127; this step is in half precision."""
    theirs = dict(load_model(folders["Q8_0"]).named_parameters())
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            assert torch.equal(theirs[name], parameter), name
            continue
        largest = parameter.reshape(*parameter.shape[:-1], -1, 32).abs().amax(-1, keepdim=True)
        apart = (theirs[name] - parameter).reshape(*parameter.shape[:-1], -1, 32).abs()
        assert (apart <= largest * (0.5 / 127 + 2**-10)).all(), name


def test_logits_lose_what_the_weights_lose(folders, model):
    exact = logits(model)
    found = {kind: logits(load_model(folder)) for kind, folder in folders.items()}
    apart = {kind: ((given - exact).norm() / exact.norm()).item() for kind, given in found.items()}
    assert apart["F32"] == 0 < apart["F16"] < apart["BF16"] < 0.05
    assert apart["F16"] < apart["Q8_0"] < 0.1


def test_tied_embeddings_stay_tied(tmp_path, tokenizer):
    tied = model_of(len(tokenizer), tied=True)
    file = write(tmp_path / "tied.gguf", tied, tokenizer)
    conversion.convert(file, tmp_path / "folder")
    converted = load_model(tmp_path / "folder")
    assert converted.config.tie_word_embeddings
    assert read_header(file).parameters == sum(parameter.numel() for parameter in converted.parameters())
    assert torch.equal(logits(converted), logits(tied))


@pytest.mark.parametrize("model_type", FAMILIES)
def test_other_families_come_back_bit_by_bit(tmp_path, model_type):
    """Biases, norms of queries and keys, windows, and norms that are stored plus 1, which rounds them."""
    sizes, vocabulary, split = FAMILIES[model_type]
    tokenizer = as_fast(vocabulary())
    own = model_of(len(tokenizer), model_type=model_type, **sizes)
    conversion.convert(write(tmp_path / "x.gguf", own, tokenizer, split=split), tmp_path / "folder")
    converted = load_model(tmp_path / "folder")
    near = 2e-7 if model_type.startswith("gemma") else 0.0
    for (name, theirs), (_, parameter) in zip(converted.named_parameters(), own.named_parameters(), strict=True):
        assert torch.allclose(theirs, parameter, rtol=0, atol=near), name
    assert torch.allclose(logits(converted), logits(own), rtol=0, atol=1e3 * near)
    made = load_tokenizer(tmp_path / "folder")
    assert [made(text).input_ids for text in TEXTS] == [tokenizer(text).input_ids for text in TEXTS]


def test_a_tokenizer_that_transformers_replaces_is_refused(tmp_path, tokenizer):
    """Models of type qwen2 have their own tokenizer class, which splits texts like Qwen and ignores the file."""
    file = write(tmp_path / "x.gguf", model_of(len(tokenizer), model_type="qwen2"), tokenizer)
    with refusal(str(file), "different tokens than the tokenizer"):
        conversion.convert(file, tmp_path / "folder")


def test_the_config_is_the_models(folders, model):
    config, own = load_model(folders["F32"]).config, model.config
    same = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size",
            "max_position_embeddings", "bos_token_id", "eos_token_id", "rope_parameters", "hidden_act")  # fmt: skip
    assert {name: getattr(config, name) for name in same} == {name: getattr(own, name) for name in same}
    assert not hasattr(config, "quantization_config")
    generation = json.loads((folders["F32"] / "generation_config.json").read_text())
    assert (generation["bos_token_id"], generation["eos_token_id"]) == (1, 2)


VOCABULARIES = {
    "gpt2": (lambda: kinds.KINDS["gpt2"](), {"split": "gpt-2"}),
    "smollm": (single_digits, {"split": "smollm"}),
    "llama3": (lambda: kinds.KINDS["llama3"](), {"split": "llama-bpe", "add_bos": None}),
    "llama2": (lambda: kinds.KINDS["llama2"](), {"model_kind": "llama", "split": "default", "add_bos": None}),
    "without-blank": (
        lambda: kinds.byte_fallback(dummy_prefix=False),
        {"model_kind": "llama", "split": None, "change": lambda writer: writer.add_add_space_prefix(False)},
    ),
}


@pytest.mark.parametrize("name", VOCABULARIES)
def test_token_ids_are_those_of_the_models_own_tokenizer(tmp_path, name):
    make, options = VOCABULARIES[name]
    own = as_fast(make())
    file = write(tmp_path / "x.gguf", model_of(len(own)), own, **options)
    conversion.convert(file, tmp_path / "folder")
    made = load_tokenizer(tmp_path / "folder")
    assert made.get_vocab() == own.get_vocab()
    assert (made.bos_token_id, made.eos_token_id, made.unk_token_id) == (1, 2, 0)
    for text in TEXTS:
        ids = own(text).input_ids
        assert made(text).input_ids == ids, text
        assert made.decode(ids) == own.decode(ids)
        assert (
            made(text, return_offsets_mapping=True).offset_mapping
            == own(text, return_offsets_mapping=True).offset_mapping
        )
    assert made(" x", add_special_tokens=False).input_ids == own(" x", add_special_tokens=False).input_ids


def test_words_of_the_vocabulary_go_before_merges(tmp_path):
    """As in Llama 3, whose vocabulary has words that no merges produce."""
    backend = kinds.KINDS["llama3"]()
    saved = json.loads(backend.to_str())
    saved["model"]["vocab"]["Ġquestionable"] = len(saved["model"]["vocab"])
    saved["model"]["ignore_merges"] = True
    own = as_fast(type(backend).from_str(json.dumps(saved)))
    file = write(tmp_path / "x.gguf", model_of(len(own)), own, split="llama-bpe")
    conversion.convert(file, tmp_path / "folder")
    ids = load_tokenizer(tmp_path / "folder")(" questionable").input_ids
    assert ids == own(" questionable").input_ids == [1, len(own) - 1]


# What comes after it.


@pytest.fixture(scope="module")
def patterns(tmp_path_factory, folders, model, tokenizer, rows):
    """Patterns of the model before and after a fine-tuning, from its own folder and from the folders of two files."""
    place = tmp_path_factory.mktemp("after")
    for saved in (model, tokenizer):
        saved.save_pretrained(place / "own")
    data = place / "rows.jsonl"
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), place / "rows.parquet")
    recipe = {"learning_rate": 1e-3, "max_steps": 2, "per_device_batch_size": 4, "global_batch_size": 4}
    found = {}
    for name, folder in (("own", place / "own"), ("F32", folders["F32"]), ("Q8_0", folders["Q8_0"])):
        at, shards = place / name, place / name / "tokenized/sums/train"
        scripts.run(
            "tokenize_instructions", model=folder, instructions=place / "rows.parquet", max_length=128, output=shards
        )
        scripts.run("cut_training_set", tokenized=shards, seed=0, output=at / "set.csv")
        options = {"model": folder, "training_set": at / "set.csv", "tokenized": shards, "output": at / "run"}
        scripts.run("finetune", recipe=json.dumps(recipe), **options)
        scripts.run("extract_patterns", model=folder, run=at / "run", data=data, output_folder=at / "patterns")
        found[name] = {step: np.load(at / f"patterns/step-{step}.samples.npy") for step in (0, 2)}
    return found


def test_patterns_and_fine_tuning_are_those_of_the_models_own_folder(patterns):
    """The levels of every sample are equal bit by bit, before and after two optimizer steps."""
    for step in (0, 2):
        assert np.array_equal(patterns["own"][step], patterns["F32"][step])
    assert not np.array_equal(patterns["own"][0], patterns["own"][2])


def test_patterns_of_a_quantized_file_are_nearly_those(patterns):
    own, rounded = (patterns[name][0].mean(0) for name in ("own", "Q8_0"))
    assert 0 < np.linalg.norm(rounded - own) / np.linalg.norm(own) < 0.2


# What is written about the file.


def test_the_folder_says_where_it_comes_from(files, folders):
    about = json.loads((folders["Q8_0"] / "gguf.json").read_text())
    assert about["file"] == "tiny.Q8_0.gguf"
    assert about["sha256"] == hashlib.sha256(files["Q8_0"].read_bytes()).hexdigest()
    assert (about["quantization"], about["tensors"]) == ("Q8_0", {"Q8_0": 16, "F32": 5})
    assert about["versions"]["gguf"] and about["checked_tokens"] == 16
    written = "".join(path.read_text() for path in folders["Q8_0"].glob("*.json"))
    assert str(files["Q8_0"].parent) not in written


def test_the_same_file_gives_the_same_bytes(tmp_path, files, folders):
    scripts.run("convert_gguf", gguf=files["Q8_0"], output=tmp_path / "again")
    assert scripts.contents(tmp_path / "again") == scripts.contents(folders["Q8_0"])


def test_a_file_without_the_suffix_and_a_link_are_read(tmp_path, files, folders):
    (tmp_path / "blob").write_bytes(files["F32"].read_bytes())
    (tmp_path / "link.gguf").symlink_to(tmp_path / "blob")
    for name in ("blob", "link.gguf"):
        conversion.convert(tmp_path / name, tmp_path / "folder")
        made = (tmp_path / "folder/model.safetensors").read_bytes()
        assert made == (folders["F32"] / "model.safetensors").read_bytes()


# Refusals when only the header is read.


def cut(file, folder, size):
    made = folder / "cut.gguf"
    made.write_bytes(file.read_bytes()[:size])
    return made


def test_no_file_and_a_folder_are_refused(tmp_path):
    with refusal(f"{tmp_path}/none.gguf", "does not exist: fix the path"):
        read_header(tmp_path / "none.gguf")
    with refusal(str(tmp_path), "is a folder, not a GGUF file"):
        read_header(tmp_path)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"", "is not a GGUF file"),
        (b"<html>Sign in</html>", "is not a GGUF file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", ("Git LFS pointer", "git lfs pull")),
        (struct.pack("<4sI", b"GGUF", 1) + bytes(16), "not GGUF of version 2 or 3"),
        (struct.pack(">4sI", b"GGUF", 3) + bytes(16), "little-endian"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 0), "has no tensors"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 2**60), "damaged, or it ends within its header"),
    ],
)
def test_what_is_no_gguf_file_is_refused(tmp_path, content, hint):
    (tmp_path / "x.gguf").write_bytes(content)
    with refusal(f"{tmp_path}/x.gguf", hint):
        read_header(tmp_path / "x.gguf")


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05])
def test_a_file_that_ends_within_its_header_is_refused(tmp_path, files, share):
    file = cut(files["Q8_0"], tmp_path, int(share * os.path.getsize(files["Q8_0"])))  # noqa: PTH202
    with refusal(str(file), ("ends within its header", "download it again")):
        read_header(file)


def test_a_file_that_ends_within_its_weights_is_refused(tmp_path, files):
    size = files["Q8_0"].stat().st_size
    needed = max(tensor.end for tensor in read_header(files["Q8_0"]).tensors)
    file = cut(files["Q8_0"], tmp_path, needed - 1)
    with refusal(str(file), (f"has {needed - 1} bytes, but its header says {needed}", "download it again")):
        read_header(file)
    assert needed <= size


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"architecture": "grok"}, ("architecture 'grok'", "Hugging Face layout as path")),
        ({"without": ("tokenizer",)}, "has no tokenizer"),
        ({"without": ("eos",)}, "names no EOS token"),
        ({"change": lambda writer: writer.add_uint16("split.count", 3)}, ("one of 3 parts", "merge them")),
        (
            {"change": without("llama.block_count")},
            ("llama.block_count", "Hugging Face layout as path"),
        ),
    ],
    ids=["architecture", "tokenizer", "eos", "parts", "size"],
)
def test_a_header_that_makes_no_model_is_refused(tmp_path, model, tokenizer, options, hint):
    file = write(tmp_path / "x.gguf", model, tokenizer, **options)
    with refusal(str(file), hint):
        gguf_header.check(read_header(file))


# Refusals of files that transformers would silently read in another way than intended.


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (
            {"change": lambda writer: writer.add_tensor("rope_freqs.weight", torch.ones(8).numpy())},
            "has the tensor rope_freqs.weight, which transformers does not read",
        ),
        ({"without": ("blk.1.ffn_up.weight",)}, "lacks the tensor model.layers.1.mlp.up_proj.weight"),
        ({"change": with_value("llama.feed_forward_length", 64)}, "a shape of the tensor model.layers.0.mlp"),
        (
            {"change": lambda writer: writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)},
            ("yarn as llama.rope.scaling.type", "reads as none"),
        ),
        ({"change": lambda writer: writer.add_sliding_window(64)}, "64 as llama.attention.sliding_window"),
        ({"split": "deepseek-llm"}, ("splits texts as 'deepseek-llm'", "as path")),
        ({"split": None}, ("does not say how its tokenizer splits texts", "convert the model again")),
        ({"model_kind": "bert"}, "can build no tokenizer"),
    ],
    ids=["tensor", "missing", "shape", "rope", "window", "split", "no-split", "wordpiece"],
)
def test_what_would_be_lost_is_refused(tmp_path, capfd, monkeypatch, model, tokenizer, options, hint):
    file = write(tmp_path / "x.gguf", model, tokenizer, **options)
    said = scripts.refused(capfd, monkeypatch, "convert_gguf", gguf=file, output=tmp_path / "folder")
    hints = (hint,) if isinstance(hint, str) else hint
    assert str(file) in said and all(word in said for word in hints), said
    assert not (tmp_path / "folder").exists()


def test_logits_that_are_not_finite_are_refused(tmp_path, tokenizer):
    broken = model_of(len(tokenizer))
    with torch.no_grad():
        broken.model.layers[1].mlp.up_proj.weight[0, 0] = float("nan")
    file = write(tmp_path / "x.gguf", broken, tokenizer)
    with refusal(str(file), "logits that are not finite"):
        conversion.convert(file, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_the_layout_of_the_files_is_not_that_of_transformers(model):
    """With equal layouts, no test above would show whether the conversion changes the layout back."""
    stored = tensors_of(model)["blk.0.attn_q.weight"]
    assert not torch.equal(torch.from_numpy(stored.copy()), model.model.layers[0].self_attn.q_proj.weight)
