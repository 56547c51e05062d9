"""The inputs of a model for likelihoods: a prompt with each response that is scored after it, as tokens.

Prompt and response are tokenized as in training (headpatterns.data.tokens). The gold response ends with EOS, or with
the tokens that the chat template prints there, which also have a loss in training. Options have no such end, as in
OpenCompass's PPL inferencer: only their own tokens are compared.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headpatterns.data.conversations import ASSISTANT, SYSTEM
from headpatterns.data.tokens import TokenizedSample, tokenize_all
from headpatterns.errors import InputError
from headpatterns.evaluation.sets import Asking, EvaluationSet, Item

BETWEEN = "\n\n"
"""The text after a solved example."""

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Text:
    """A prompt and a response.

    Attributes:
        ids: tokens of both, [tokens].
        start: position of the first token that is predicted; earlier tokens are only read.
    """

    ids: Ids
    start: int

    @property
    def predicted(self) -> int:
        """Tokens of the response."""
        return len(self.ids) - self.start


@dataclass(frozen=True)
class Texts:
    """An item as it is read.

    Attributes:
        gold: with the gold response and EOS.
        options: with each option, without EOS.
        shortened: whether the prompt lost examples or its beginning, or the gold response its end.
    """

    gold: Text
    options: tuple[Text, ...]
    shortened: bool


def behind(examples: Sequence[Asking], asked: Asking) -> Asking:
    """A prompt after solved examples: as one text, or with earlier turns after the prompt's own system turn."""
    if isinstance(asked, str):
        return "".join(f"{example}{BETWEEN}" for example in examples) + asked
    earlier = [message for example in examples for message in example if isinstance(message, dict)]
    systems = [message for message in asked if message["role"] == SYSTEM]
    return (*systems, *(one for one in [*earlier, *asked] if one["role"] != SYSTEM))


def tokenized(tokenizer: Any, name: str, items: EvaluationSet, positions: int | None) -> list[Texts]:
    """The items of the set `name` as a model with `positions` positions reads them, None for any number.

    If there are too few positions, a prompt loses whole examples, the last one first, as in OpenCompass. After that it
    loses its own start (except BOS). All texts of an item have the same prompt. In a lenient set, a gold response is
    cut at its end: to the room after the prompt or, if that is less, to half of the positions.

    Raises:
        InputError: a response leaves no room for a token before it, or the tokenizer does not show where it starts.
    """
    samples = iter(tokenize_all(tokenizer, [row for item in items.items for row in _rows(item, items.examples)],
                                sys.maxsize))  # fmt: skip
    return [_fitted(tokenizer, name, items, item, _taken(item, samples), positions) for item in items.items]


def _rows(item: Item, examples: Sequence[Asking]) -> list[dict[str, Any]]:
    asked, texts = behind(examples, item.asked), (item.response, *item.options)
    if isinstance(asked, str):
        return [{"id": item.id, "prompt": asked, "response": text} for text in texts]
    return [{"id": item.id, "messages": (*asked, {"role": ASSISTANT, "content": text})} for text in texts]


def _taken(item: Item, samples: Iterator[TokenizedSample]) -> list[Text]:
    """The next texts of an item: that of the gold response, and those of the options without their closing tokens."""
    closed = [next(samples) for _ in range(1 + len(item.options))]
    texts = []
    for place, sample in enumerate(closed):
        end = sample.turns[-1][1] if sample.turns else len(sample.input_ids)
        ids = sample.input_ids[: end - (sample.closing if place else 0)]
        # The first token has no context that predicts it.
        texts.append(Text(np.array(ids, dtype=np.int32), max(sample.response_start, 1)))
    return texts


def _fitted(
    tokenizer: Any, name: str, items: EvaluationSet, item: Item, texts: list[Text], positions: int | None
) -> Texts:
    examples, limit = items.examples, positions or sys.maxsize
    while examples and not _fit(texts, limit):
        examples = examples[:-1]
        texts = _taken(item, iter(tokenize_all(tokenizer, _rows(item, examples), sys.maxsize)))
    shortened = len(examples) < len(items.examples)
    if not _fit(texts, limit):
        texts, shortened = [_ended(text, limit) if items.lenient else text for text in texts], True
        longest = max(text.predicted for text in texts)
        if longest >= limit:
            raise InputError(
                f"the set '{name}': the gold response of the item '{item.id}', or an option, has {longest} "
                f"tokens, which leaves no room for a prompt in the model's {limit} positions: leave the item out, "
                "or evaluate a model with more positions."
            )
        texts = [_begun(text, limit - longest, tokenizer.bos_token_id) for text in texts]
    return Texts(texts[0], tuple(texts[1:]), shortened)


def _fit(texts: Sequence[Text], limit: int) -> bool:
    return max(len(text.ids) for text in texts) <= limit


def _ended(text: Text, limit: int) -> Text:
    """A text whose response is cut to the room after its prompt or, if that is less, to half of the limit."""
    return Text(text.ids[: text.start + max(limit - text.start, limit // 2)], text.start)


def _begun(text: Text, room: int, bos: int | None) -> Text:
    """A text whose prompt is cut to `room` tokens: BOS, if it starts with BOS, and its last tokens."""
    if text.start <= room:
        return text
    first = text.ids[: int(text.ids[0] == bos)]
    return Text(np.concatenate([first, text.ids[text.start - room + len(first) :]]), room)
