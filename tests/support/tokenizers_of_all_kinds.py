"""Small tokenizers of the kinds that language models have, trained on a few sentences."""

import json
from collections.abc import Iterator
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizer, PreTrainedTokenizerFast

SENTENCES = [
    "Question: What is the capital of France?\nAnswer: Paris is the capital of France.",
    "Question: Where is it?\nAnswer: There it is, there is more of it there.",
    "There is an answer.\n\nThere was a question.",
    "def answer(question):\n    return question",
    "There is more of it.\n\n",
    "### Response:There are 12 answers to 34 questions.",
] * 4
BOS, EOS, UNKNOWN = "<s>", "</s>", "<unk>"
SPECIAL = [UNKNOWN, BOS, EOS]
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level(pre_tokenizer: Any = None, trim: bool = False) -> Tokenizer:
    """Byte-level BPE like that of GPT-2, or after another pre-tokenizer; `trim` leaves blanks out of the offsets."""
    tokenizer = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pre_tokenizer is None)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizer, level]) if pre_tokenizer else level
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    steps = [processors.ByteLevel(trim_offsets=True)] if trim else []
    tokenizer.post_processor = processors.Sequence([*steps, _with_bos(tokenizer)])
    return tokenizer


def metaspace(scheme: str) -> Tokenizer:
    """Unigram pieces after a Metaspace, which puts a dummy blank before every part of a text, the first or none."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme)
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=SPECIAL, unk_token=UNKNOWN, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = _with_bos(tokenizer)
    return tokenizer


def byte_fallback(dummy_prefix: bool) -> Tokenizer:
    """SentencePiece BPE of whole lines: with a dummy blank before a text, as in Llama 2, or without, as in Gemma."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    blank = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), blank]) if dummy_prefix else blank
    ends = [decoders.Strip(" ", 1, 0)] if dummy_prefix else []
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *ends])
    # As in SentencePiece, no piece continues after a blank or a newline.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.Split("▁", "merged_with_next")]
    )
    tokenizer.train_from_iterator(
        SENTENCES, trainers.BpeTrainer(vocab_size=220, special_tokens=SPECIAL, show_progress=False)
    )
    saved = json.loads(tokenizer.to_str())
    vocabulary = saved["model"]["vocab"]
    for byte in range(256):
        vocabulary[f"<0x{byte:02X}>"] = len(vocabulary)
    saved["model"]["byte_fallback"] = True
    saved["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(saved))
    tokenizer.post_processor = _with_bos(tokenizer)
    return tokenizer


def _with_bos(tokenizer: Tokenizer) -> Any:
    return processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))])


BYTES = {
    "gpt2": lambda: byte_level(),
    "llama3": lambda: byte_level(pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated")),
    "trimmed": lambda: byte_level(trim=True),
    "llama2": lambda: byte_fallback(dummy_prefix=True),
    "gemma": lambda: byte_fallback(dummy_prefix=False),
}
"""Tokenizers that can encode any text, by name."""

KINDS = BYTES | {
    "metaspace-always": lambda: metaspace("always"),
    "metaspace-first": lambda: metaspace("first"),
    "metaspace-never": lambda: metaspace("never"),
}


def fast(name: str) -> PreTrainedTokenizerFast:
    """The tokenizer of this name, as transformers has it."""
    special = {"bos_token": BOS, "eos_token": EOS, "unk_token": UNKNOWN}
    return PreTrainedTokenizerFast(tokenizer_object=KINDS[name](), clean_up_tokenization_spaces=False, **special)


class Slow(PreTrainedTokenizer):
    """A tokenizer in Python without offsets and BOS. Its tokens are bytes and some pairs of bytes."""

    def __init__(self, pairs: tuple[bytes, ...] = (), lossy: bool = False, **options: Any) -> None:
        """Set the pairs of bytes; with `lossy`, decoding does not give back the text."""
        self.tokens = [bytes([byte]) for byte in range(256)] + list(pairs)
        self.lossy = lossy
        super().__init__(eos_token=EOS, **options)

    @property
    def vocab_size(self) -> int:
        """The number of bytes and pairs."""
        return len(self.tokens)

    def get_vocab(self) -> dict[str, int]:
        """Tokens in Latin-1, which has a character for each byte."""
        return {token.decode("latin-1"): number for number, token in enumerate(self.tokens)} | self.added_tokens_encoder

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        return [token.decode("latin-1") for token in self._cut(text.encode())]

    def _cut(self, text: bytes) -> Iterator[bytes]:
        while text:
            size = 2 if text[:2] in self.tokens else 1
            yield text[:size]
            text = text[size:]

    def _convert_token_to_id(self, token: str) -> int:
        return self.tokens.index(token.encode("latin-1"))

    def _convert_id_to_token(self, index: int) -> str:
        return self.tokens[index].decode("latin-1")

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The text of the bytes, with incomplete characters replaced."""
        if self.lossy:
            return f"{len(tokens)} tokens"
        return "".join(tokens).encode("latin-1").decode(errors="replace")
