"""The seam between prompt and response: both are tokenized as one text, and their tokens are separated afterwards.

Models read both as one text, in which most tokenizers join a blank and the next word to one token. If the two were
tokenized separately, the prompt would end in a token of a single blank, and the response would start with a word
without its blank.
"""

import itertools
from collections.abc import Sequence
from typing import Any

from headpatterns.errors import InputError

BLANKS = " \t\u00a0\u3000"
"""Characters that a tokenizer joins to the next word. Line breaks are not included: Llama 3 joins one to the text
before it."""

INCOMPLETE = "\ufffd"
"""Replaces an incomplete character in a decoded text, of which only some bytes are present."""


def parted(prompt: str, response: str) -> tuple[str, str]:
    """Prompt and response of the same text, with the blanks at the end of the prompt moved to the response."""
    stripped = prompt.rstrip(BLANKS)
    return stripped, prompt[len(stripped) :] + response


def prompt_ids(tokenizer: Any, prompt: str) -> list[int]:
    """The tokens after which an answer is generated. They are the same as in training if no token straddles the seam.

    If a token straddles the seam, the last token differs from training. No prompt can avoid this, because that token
    contains the answer's first letters. Tokenization counts such samples.

    Raises:
        InputError: as `encoded`.
    """
    return encoded(tokenizer, [prompt.rstrip(BLANKS)])[0]


def encoded(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Tokens of texts, with the special tokens that the tokenizer puts before a text and without those after it.

    A text that starts with BOS itself does not get a second one.

    Raises:
        InputError: the special tokens cannot be distinguished from the tokens of a text.
    """
    before = _before(tokenizer)
    # The work from here on is in Python, and a tokenizer's own threads wait for it, so it has to be short.
    found = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)["input_ids"]
    repeatable = before[-1:] if before[-1:] == [tokenizer.bos_token_id] else None
    return [[*before, *(ids[1:] if ids[:1] == repeatable else ids)] for ids in found]


def response_start(
    tokenizer: Any, id: str, prompt: str, response: str, prompt_ids: Sequence[int], ids: Sequence[int]
) -> tuple[int, bool]:
    """Position of the response's first token in the tokens of the whole text, and whether it straddles the seam.

    A straddling token contains the end of the prompt and the start of the response; it belongs to the response.

    Args:
        tokenizer: the tokenizer of the tokens.
        id: the sample's id, for errors.
        prompt: as `parted` gives it.
        response: as `parted` gives it.
        prompt_ids: tokens of the prompt alone, as `encoded` gives them.
        ids: tokens of prompt and response as one text, as `encoded` gives them.

    Raises:
        InputError: the tokenizer neither gives the positions of its tokens in a text, nor decodes them to the text.
    """
    # The tokens that both have in common belong to the prompt. In nearly every sample they are the whole prompt, and
    # offsets are not needed. Some tokenizers give no offsets, or leave blanks out of them.
    if ids[: len(prompt_ids)] == prompt_ids:
        return len(prompt_ids), False
    common = next((n for n, (a, b) in enumerate(zip(prompt_ids, ids, strict=False)) if a != b), len(ids))
    seam = len(prompt)
    spans = _spans(tokenizer, prompt + response) if tokenizer.is_fast else []
    for place, (start, end) in enumerate(spans[common:], start=common):
        if end > seam >= start:
            return place, start < seam
        if end > seam:  # offsets leave out blanks at the seam, which may belong to either token
            break
    return _by_decoding(tokenizer, id, prompt_ids, ids, common)


def _before(tokenizer: Any) -> list[int]:
    """The special tokens that the tokenizer puts before a text: for most, BOS or none.

    If a tokenizer puts BOS there twice, by a template and by a setting, it counts once.
    """
    alone = tokenizer("x", add_special_tokens=False)["input_ids"]
    whole = tokenizer("x")["input_ids"]
    for place in range(len(whole) - len(alone) + 1):
        if whole[place : place + len(alone)] == alone:
            return [token for token, _ in itertools.groupby(whole[:place])]
    raise InputError(
        f"the tokenizer {_name(tokenizer)} splits a text into different tokens when it adds special tokens: "
        "use a tokenizer that does not."
    )


def _repeated(tokenizer: Any, before: Sequence[int], ids: Sequence[int]) -> int:
    """How many tokens of a text repeat the BOS before it: one, or none."""
    bos = tokenizer.bos_token_id
    return int(bos is not None and list(before[-1:]) == list(ids[:1]) == [bos])


def _spans(tokenizer: Any, text: str) -> list[tuple[int, int]]:
    """The characters of each token of `encoded`, from and to; (0, 0) for tokens that are not in the text.

    Characters that normalisation removed, such as an accent that was joined to its letter, belong to the token before.
    """
    before = _before(tokenizer)
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    own = [(start, end) for start, end in found["offset_mapping"][_repeated(tokenizer, before, found["input_ids"]) :]]
    spans = list(own)
    for place in reversed(range(len(own) - 1)):
        (start, end), (after, _) = own[place], own[place + 1]
        if own[place] == own[place + 1]:  # bytes of one character
            spans[place] = spans[place + 1]
        elif text[end:after].strip():
            spans[place] = start, after
    return [(0, 0)] * len(before) + spans


def _by_decoding(
    tokenizer: Any, id: str, prompt_ids: Sequence[int], ids: Sequence[int], common: int
) -> tuple[int, bool]:
    """The same as `response_start`, from the decoded first tokens of the text: the prompt, a part of it, or more."""

    def text_of(tokens: Sequence[int]) -> str:
        text: str = tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False)
        return text

    prompt = text_of(prompt_ids)
    if not text_of(ids).startswith(prompt):
        raise InputError(
            f"the tokenizer {_name(tokenizer)} does not show where the response of sample '{id}' begins (it has "
            "no usable offsets, and its tokens do not decode to the prompt): use its fast version "
            "(tokenizer.json)."
        )
    place, read = common, text_of(ids[:common])
    while place < len(ids) and read != prompt:
        longer = text_of(ids[: place + 1])
        whole = longer.rstrip(INCOMPLETE)
        # The whole prompt and some further bytes, which belong to the response.
        if not prompt.startswith(whole) or (whole == prompt and longer != whole):
            return place, True
        place, read = place + 1, longer
    return place, False


def _name(tokenizer: Any) -> str:
    return tokenizer.name_or_path or type(tokenizer).__name__
