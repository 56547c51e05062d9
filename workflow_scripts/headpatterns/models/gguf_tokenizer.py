"""The tokenizer of a GGUF file, with the token ids of the model's own tokenizer.

transformers builds it from the file, but ignores some properties of llama.cpp's vocabulary types: how a text is split
before merges, whether whole words precede merges, BOS if the file does not mention it, and the blank before a text.
`load_tokenizer` adds these, and refuses types that are not known here, because wrong tokens would silently change all
results.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headpatterns.errors import InputError, first_line
from headpatterns.models import loading
from headpatterns.models.gguf_header import INSTEAD, Header

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

BYTE_LEVEL, SENTENCEPIECE = "gpt2", "llama"
"""Values of tokenizer.ggml.model."""

AS_GPT2 = {"gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4"}
SINGLE_DIGITS = {"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b"}
"""Values of tokenizer.ggml.pre with which llama.cpp splits texts as GPT-2 does; with the latter, it first splits off
each digit."""

WHOLE_WORDS = {
    "llama3",
    "llama-v3",
    "llama-bpe",
    "falcon3",
    "falcon-h1",
    "pixtral",
    "midm-2.0",
    "lfm2",
    "jina-v5-nano",
    "tekken",
}
"""Values with which llama.cpp takes whole words of the vocabulary before any merge. It also adds BOS if the file does
not mention it."""

COMPOSED = {"qwen2", "qwen35"}
"""Values of models whose tokenizer composes characters (Unicode NFC) first."""

PROBES = (
    " A line, and  two   blanks.\n\n\tAnother line\r\n  ",
    "There are 12345 of them, 3.14 + 2; it's DON'T and x_1 += {\"a\": [0]}",
    "Ça e\u0301te\u0301 — 这是一个句子。 ١٢٣ ½ 👍🏽",
)
"""Texts on which the saved tokenizer is compared with the one that was read: blanks, numbers, signs, other scripts."""

SPECIAL = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
"""Special tokens of transformers, with the keys tokenizer.ggml.{...}_token_id of their ids."""


def load_tokenizer(header: Header, folder: Path, name: str) -> "PreTrainedTokenizerFast":
    """The tokenizer of the file `name` in `folder`, whose header is given.

    Raises:
        InputError: transformers cannot build it, or builds a tokenizer with other tokens than the file.
    """
    import transformers

    kind, split = (header.metadata.get(f"tokenizer.ggml.{key}") for key in ("model", "pre"))
    if kind == BYTE_LEVEL:
        _check_split(header.file, split)
    try:
        built = transformers.AutoTokenizer.from_pretrained(
            folder, gguf_file=name, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # transformers and tokenizers raise many types for the same problem of the user
        raise InputError(
            f"transformers can build no tokenizer from {header.file} ({first_line(error)}): {INSTEAD}."
        ) from error
    backend = _within(built.backend_tokenizer, header.metadata["tokenizer.ggml.tokens"])
    special = {
        # None if the file has no such token; otherwise a class of transformers may use its own default.
        role: None if (number := _stated(header, key)) is None else backend.id_to_token(number)
        for role, key in SPECIAL.items()
    }
    _complete(backend, header, special)
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        clean_up_tokenization_spaces=False,
        chat_template=header.metadata.get("tokenizer.chat_template"),
        model_input_names=["input_ids", "attention_mask"],
        **special,
    )
    _check_tokens(made, header)
    return made


def _stated(header: Header, key: str) -> int | None:
    """The id of a special token in the file."""
    found: int | None = header.metadata.get(f"tokenizer.ggml.{key}_token_id")
    return found


def check_saved(tokenizer: "PreTrainedTokenizerFast", folder: Path, file: Path) -> None:
    """Refuse a tokenizer that has other tokens after it is saved in `folder`: its model may have its own class.

    Raises:
        InputError: it has other tokens.
    """
    saved = loading.load_tokenizer(folder)
    for text in PROBES:
        if saved(text).input_ids != tokenizer(text).input_ids or len(saved) != len(tokenizer):
            raise InputError(
                f"transformers splits {text!r} into different tokens than the tokenizer of {file}, because it has "
                f"its own rule for this architecture: {INSTEAD}."
            )


def _check_split(file: Path, split: str | None) -> None:
    """Refuse a byte-level vocabulary for which the splitting of a text before merges is unknown or not stated."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    if split in (None, "default"):
        raise InputError(
            f"{file} does not say how its tokenizer splits texts (tokenizer.ggml.pre): convert the model again with a "
            f"newer llama.cpp, or {INSTEAD}."
        )
    if split not in AS_GPT2 | SINGLE_DIGITS | set(GGUF_PRE_TOKENIZER_SPLITS):
        raise InputError(
            f"{file} has a tokenizer that splits texts as '{split}' (tokenizer.ggml.pre), which transformers cannot "
            f"read from GGUF: {INSTEAD}."
        )


def _within(backend: "Tokenizer", size: int) -> "Tokenizer":
    """A tokenizer without the tokens that classes of transformers add, because these have no embedding."""
    from tokenizers import Tokenizer

    saved = json.loads(backend.to_str())
    saved["added_tokens"] = [token for token in saved["added_tokens"] if token["id"] < size]
    made: Tokenizer = Tokenizer.from_str(json.dumps(saved))
    return made


def _complete(backend: "Tokenizer", header: Header, special: dict[str, str | None]) -> None:
    """Add to a tokenizer the properties that transformers ignores (see the module's docstring)."""
    from tokenizers import normalizers, pre_tokenizers

    metadata: dict[str, Any] = header.metadata
    kind, split = metadata["tokenizer.ggml.model"], metadata.get("tokenizer.ggml.pre")
    of_gemma = header.architecture.startswith("gemma")  # its class has no blank before a text
    silent = kind == SENTENCEPIECE
    if kind == BYTE_LEVEL and split in SINGLE_DIGITS:
        single = pre_tokenizers.Digits(individual_digits=True)
        backend.pre_tokenizer = pre_tokenizers.Sequence([single, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    if kind == BYTE_LEVEL and split in WHOLE_WORDS:
        backend.model.ignore_merges = silent = True
    if kind == BYTE_LEVEL and split in COMPOSED:
        backend.normalizer = normalizers.NFC()
    if kind == SENTENCEPIECE and not of_gemma:
        _blank(backend, metadata.get("tokenizer.ggml.add_space_prefix", True))
    ends = (("bos_token", silent), ("eos_token", False))
    begin, end = (
        special[role] if metadata.get(f"tokenizer.ggml.add_{role}", default) else None for role, default in ends
    )
    _add_ends(backend, begin, end)


def _blank(backend: "Tokenizer", before: bool) -> None:
    """Make blanks pieces as in SentencePiece, with an additional one `before` every text, or without it."""
    from tokenizers import decoders, normalizers

    blanks = normalizers.Replace(" ", "▁")
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), blanks]) if before else blanks
    backend.pre_tokenizer = None
    strip = [decoders.Strip(" ", 1, 0)] if before else []
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip])


def _add_ends(backend: "Tokenizer", begin: str | None, end: str | None) -> None:
    """Put a token before each text, after it, both or neither."""
    from tokenizers import processors

    ends = [token for token in (begin, end) if token is not None]
    single = " ".join([*([begin] if begin else []), "$A", *([end] if end else [])])
    backend.post_processor = processors.TemplateProcessing(
        single=single, special_tokens=[(token, backend.token_to_id(token)) for token in ends]
    )


def _check_tokens(tokenizer: "PreTrainedTokenizerFast", header: Header) -> None:
    """Refuse a tokenizer that has another number of tokens than the file, or other special ones."""
    count = header.metadata["tokenizer.ggml.tokens"]
    if len(tokenizer) != count:
        raise InputError(
            f"the tokenizer of {header.file} has {count} tokens, but transformers makes {len(tokenizer)} of them: "
            f"{INSTEAD}."
        )
    for role, key in SPECIAL.items():
        stated = _stated(header, key)
        if stated is not None and getattr(tokenizer, f"{role}_id") != stated:
            raise InputError(
                f"{header.file} has {stated} as tokenizer.ggml.{key}_token_id, which is not a token in "
                f"transformers: {INSTEAD}."
            )
