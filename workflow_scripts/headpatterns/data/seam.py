"""The seam between prompt and response: both are tokenized as one text, and their tokens are told apart afterwards.

Models have read the two in one text, where most tokenizers make one token of a blank and the word behind it. Tokenized
apart, the prompt would end in a token of a lone blank, and the response begin with a word that lacks its own.
"""

import itertools
from collections.abc import Sequence
from typing import Any

from headpatterns.errors import InputError

BLANKS = " \t\u00a0\u3000"
"""What a tokenizer joins to the word behind it. Line breaks are none of them: Llama 3 joins one to what it ends."""

INCOMPLETE = "\ufffd"
"""What stands in a decoded text for a character of which it has some bytes only."""


def parted(prompt: str, response: str) -> tuple[str, str]:
    """Prompt and response of the same text, the blanks at the end of the prompt moved to the response."""
    stripped = prompt.rstrip(BLANKS)
    return stripped, prompt[len(stripped) :] + response


def prompt_ids(tokenizer: Any, prompt: str) -> list[int]:
    """The tokens behind which an answer is generated: where no token straddles the seam, those that training shows.

    Where one does, training shows another last token, and no cut of the prompt can: the answer's first letters are in
    it. Tokenization counts such samples.

    Raises:
        InputError: as `encoded`.
    """
    return encoded(tokenizer, [prompt.rstrip(BLANKS)])[0]


def encoded(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Tokens of texts behind the special ones that the tokenizer puts before any, without those that it puts after.

    A text that begins with BOS itself gets no second one.

    Raises:
        InputError: the special tokens cannot be told from those of a text.
    """
    before = _before(tokenizer)
    # This and what follows is done in Python, where a tokenizer's own threads wait: it has to be little.
    found = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)["input_ids"]
    repeatable = before[-1:] if before[-1:] == [tokenizer.bos_token_id] else None
    return [[*before, *(ids[1:] if ids[:1] == repeatable else ids)] for ids in found]


def response_start(
    tokenizer: Any, id: str, prompt: str, response: str, prompt_ids: Sequence[int], ids: Sequence[int]
) -> tuple[int, bool]:
    """Place of the response's first token in the tokens of the whole text, and whether it straddles the seam.

    A straddling token holds the end of the prompt and the beginning of the response; it belongs to the response.

    Args:
        tokenizer: that of the tokens.
        id: the sample's, for errors.
        prompt: as `parted` gives it.
        response: likewise.
        prompt_ids: tokens of the prompt alone, as `encoded` gives them.
        ids: tokens of prompt and response as one text, likewise.

    Raises:
        InputError: the tokenizer tells neither where its tokens lie in a text nor decodes them to it.
    """
    # What both have in common lies in the prompt. It is the whole prompt with nearly every sample, and offsets are then
    # not asked for: some tokenizers give none, or leave blanks out of them.
    if ids[: len(prompt_ids)] == prompt_ids:
        return len(prompt_ids), False
    common = next((n for n, (a, b) in enumerate(zip(prompt_ids, ids, strict=False)) if a != b), len(ids))
    seam = len(prompt)
    spans = _spans(tokenizer, prompt + response) if tokenizer.is_fast else []
    for place, (start, end) in enumerate(spans[common:], start=common):
        if end > seam >= start:
            return place, start < seam
        if end > seam:  # blanks at the seam are left out of the offsets: of the token before, or of this one?
            break
    return _by_decoding(tokenizer, id, prompt_ids, ids, common)


def _before(tokenizer: Any) -> list[int]:
    """The special tokens that the tokenizer puts before a text: BOS or none, with most.

    One that puts BOS there twice, by a template and by a setting, is taken to mean it once.
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
    """How many tokens of a text repeat the BOS that stands before it: one, or none."""
    bos = tokenizer.bos_token_id
    return int(bos is not None and list(before[-1:]) == list(ids[:1]) == [bos])


def _spans(tokenizer: Any, text: str) -> list[tuple[int, int]]:
    """The characters of each token of `encoded`, from and to; (0, 0) of those that are not in the text.

    What normalisation dropped, such as an accent that became part of its letter, is put to the token before it.
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
    """The same as `response_start`, from what the first tokens of the text decode to: prompt, less or more."""

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
        # A whole prompt and some bytes more: these are the response's.
        if not prompt.startswith(whole) or (whole == prompt and longer != whole):
            return place, True
        place, read = place + 1, longer
    return place, False


def _name(tokenizer: Any) -> str:
    return tokenizer.name_or_path or type(tokenizer).__name__
