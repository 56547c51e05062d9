"""Writes tiny GGUF files with the package gguf, as llama.cpp's converter does: weights, sizes and tokenizer."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import tokenizers_of_all_kinds as kinds
import torch
from gguf import GGMLQuantizationType as Kind
from tokenizers import Regex, normalizers, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

FILE_TYPES = {
    Kind.F32: gguf.LlamaFileType.ALL_F32,
    Kind.F16: gguf.LlamaFileType.MOSTLY_F16,
    Kind.BF16: gguf.LlamaFileType.MOSTLY_BF16,
    Kind.Q8_0: gguf.LlamaFileType.MOSTLY_Q8_0,
}


def single_digits() -> Any:
    """Byte-level BPE that splits texts at each digit, like that of SmolLM."""
    words = Regex(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
    parts = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Split(words, behavior="isolated")]
    return kinds.byte_level(pre_tokenizers.Sequence(parts))


def as_qwen2() -> Any:
    """Byte-level BPE of composed characters (NFC) that splits off each digit, like that of Qwen2."""
    words = Regex(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    made = kinds.byte_level(pre_tokenizers.Split(words, behavior="isolated"))
    made.normalizer = normalizers.NFC()
    return made


def as_fast(made: Any) -> PreTrainedTokenizerFast:
    """Wrap a tokenizer as a fast tokenizer of transformers."""
    special = {"bos_token": kinds.BOS, "eos_token": kinds.EOS, "unk_token": kinds.UNKNOWN}
    return PreTrainedTokenizerFast(tokenizer_object=made, clean_up_tokenization_spaces=False, **special)


def model_of(vocabulary: int, tied: bool = False, model_type: str = "llama", **changed: Any) -> PreTrainedModel:
    """A random float32 model with grouped-query attention; its rows fill whole quantized blocks of 32 numbers."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": vocabulary,
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": None,
        "tie_word_embeddings": tied,
    }
    config = AutoConfig.for_model(model_type, **{**sizes, **changed})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # This makes attention far from uniform, and no norm is the identity.
            parameter.copy_(8 * parameter if parameter.dim() > 1 else parameter + 0.1 * torch.randn_like(parameter))
    return model


def head_size(model: PreTrainedModel) -> int:
    """The size of a query head."""
    config = model.config
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def permuted(weights: np.ndarray, heads: int) -> np.ndarray:
    """Put the rows of a projection in llama.cpp's order for rotary positions: the pairs of a head are adjacent."""
    halves = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return halves.swapaxes(1, 2).reshape(weights.shape)


def write(
    file: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    kind: Kind = Kind.F32,
    *,
    model_kind: str = "gpt2",
    split: str | None = "gpt-2",
    add_bos: bool | None = True,
    change: Callable[[gguf.GGUFWriter], None] = lambda writer: None,
    without: tuple[str, ...] = (),
    architecture: str = "",
) -> Path:
    """Write a model and its tokenizer to `file`.

    Args:
        file: the GGUF file.
        model, tokenizer: what is written.
        kind: the type of the stored matrices; norms are F32, as in llama.cpp.
        model_kind, split, add_bos: tokenizer.ggml.model, .pre and .add_bos_token; a key is left out if it is None.
        change: further calls on the writer, before anything is written.
        without: parts to leave out: tensors by their name in the file, `tokenizer`, or `eos`.
        architecture: the architecture that the file names, if it differs from the model's.
    """
    config = model.config
    name = architecture or config.model_type.removesuffix("_text")
    writer = gguf.GGUFWriter(file, name)
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope.get("full_attention", rope)["rope_theta"])
    writer.add_rope_dimension_count(head_size(model))
    writer.add_key_length(head_size(model))
    writer.add_value_length(head_size(model))
    if getattr(config, "sliding_window", None):
        writer.add_sliding_window(config.sliding_window)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(FILE_TYPES[kind])
    if "tokenizer" not in without:
        _add_tokenizer(writer, tokenizer, model_kind, split, add_bos, "eos" not in without)
    change(writer)
    for tensor, weights in tensors_of(model).items():
        if tensor in without:
            continue
        if weights.ndim > 1 and kind is not Kind.F32:
            writer.add_tensor(tensor, gguf.quants.quantize(weights, kind), raw_dtype=kind)
        else:
            writer.add_tensor(tensor, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def tensors_of(model: PreTrainedModel) -> Mapping[str, np.ndarray]:
    """The weights by llama.cpp's names and in its layout, without tied output embeddings."""
    config, found = model.config, {}
    name = config.model_type.removesuffix("_text")
    architecture = next(one for one, known in gguf.MODEL_ARCH_NAMES.items() if known == name)
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    rotated = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads} if name == "llama" else {}
    shifted = name.startswith("gemma")  # its norms multiply by one plus their weights
    for name, tensor in model.state_dict().items():
        if config.tie_word_embeddings and name == "lm_head.weight":
            continue
        weights = tensor.numpy()
        for part, count in rotated.items():
            if f"{part}." in name:
                weights = permuted(weights, count)
        if shifted and name.endswith("norm.weight"):
            weights = weights + 1
        found[str(names.get_name(name, (".weight", ".bias")))] = weights
    return found


def _add_tokenizer(
    writer: gguf.GGUFWriter,
    tokenizer: PreTrainedTokenizerFast,
    kind: str,
    split: str | None,
    add_bos: bool | None,
    with_eos: bool,
) -> None:
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    merges = [tuple(merge) for merge in json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]]
    writer.add_tokenizer_model(kind)
    writer.add_token_list(vocabulary)
    writer.add_token_types([_type_of(token, tokenizer) for token in vocabulary])
    if kind == "gpt2":
        writer.add_token_merges([" ".join(merge) for merge in merges])
    else:  # a SentencePiece vocabulary has no merges: the scores of pieces give their order
        ranks = {"".join(merge): -float(rank) for rank, merge in reversed(list(enumerate(merges)))}
        writer.add_token_scores([ranks.get(token, -1e6) for token in vocabulary])
    if split is not None:
        writer.add_tokenizer_pre(split)
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_unk_token_id(tokenizer.unk_token_id)
    if with_eos:
        writer.add_eos_token_id(tokenizer.eos_token_id)
    if add_bos is not None:
        writer.add_add_bos_token(add_bos)


def _type_of(token: str, tokenizer: PreTrainedTokenizerFast) -> int:
    if token in tokenizer.all_special_tokens:
        return int(gguf.TokenType.CONTROL)
    return int(gguf.TokenType.BYTE if token.startswith("<0x") else gguf.TokenType.NORMAL)
