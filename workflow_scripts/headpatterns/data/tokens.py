"""Instructions to token ids: training, attribution and users' own files are tokenized in the same way."""

import itertools
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns.data import chat, seam, shards
from headpatterns.data.conversations import Message
from headpatterns.data.conversations import of as messages_of
from headpatterns.errors import InputError
from headpatterns.io import atomic_path, parquet_batches, parquet_columns, write_json
from headpatterns.models import loading as models
from headpatterns.progress import Progress

IGNORED = -100
"""Label of the tokens that carry no loss (the convention of PyTorch's cross entropy and of transformers)."""

THREADS = 2
"""Batches that are tokenized at the same time."""


@dataclass(frozen=True)
class TokenizedSample:
    """One instruction as the model reads it.

    Attributes:
        id: the instruction's id.
        input_ids: prompt, response and EOS, at most `max_length` tokens.
        response_start: position of the first response token; positions before it belong to the prompt. In a
            conversation the response is the last answer.
        truncated: whether tokens were cut off at `max_length`.
        straddling: whether the first response token also contains the end of the prompt.
        turns: in a conversation, position of the first token of each of the assistant's turns and the position after
            its last one, before anything was cut off; () for a prompt with a response.
        closing: tokens that end the response: EOS, or the tokens that the chat template prints there.
    """

    id: str
    input_ids: list[int]
    response_start: int
    truncated: bool
    straddling: bool = False
    turns: tuple[chat.Span, ...] = ()
    closing: int = 1

    @property
    def labels(self) -> list[int]:
        """`input_ids`, masked by −100 except for response and EOS or, in a conversation, the assistant's turns."""
        if self.turns:
            masked = [IGNORED] * len(self.input_ids)
            for start, end in self.turns:
                masked[start:end] = self.input_ids[start:end]
            return masked
        return [IGNORED] * min(self.response_start, len(self.input_ids)) + self.input_ids[self.response_start :]

    @property
    def response_tokens(self) -> int:
        """Number of tokens that carry a loss: response and EOS, without tokens that were cut off.

        The first token has no loss, because no context predicts it.
        """
        if self.turns:
            return sum(label != IGNORED for label in self.labels[1:])
        return max(0, len(self.input_ids) - max(self.response_start, 1))


def tokenize(
    tokenizer: Any, id: str, prompt: str, response: str, max_length: int, messages: Sequence[Message] = ()
) -> TokenizedSample:
    """Tokenize one instruction as `tokenize_all` does."""
    row = {"id": id, "prompt": prompt, "response": response, "messages": messages}
    return tokenize_all(tokenizer, [row], max_length)[0]


def tokenize_all(tokenizer: Any, rows: Sequence[dict[str, Any]], max_length: int) -> list[TokenizedSample]:
    """Tokenize rows with the keys `id`, `prompt` and `response`, or `id` and `messages`, in order.

    The tokenizer's chat template prints a row with messages (`chat`); its prompt and response are not used.

    Prompt and response are joined and tokenized as one text. It follows the special tokens that the tokenizer puts
    before a text, and ends with EOS. Each occurs once, even if the text contains its own. The whole is cut to
    `max_length` tokens.

    Raises:
        InputError: the tokenizer does not show where a response starts, or as `chat.read`.
    """
    found: list[TokenizedSample] = []
    for has_messages, part in itertools.groupby(rows, key=lambda row: bool(row.get("messages"))):
        found += (_conversations if has_messages else _instructions)(tokenizer, list(part), max_length)
    return found


def _conversations(tokenizer: Any, rows: Sequence[dict[str, Any]], max_length: int) -> list[TokenizedSample]:
    ids = [row["id"] for row in rows]
    read = chat.read(tokenizer, ids, [row["messages"] for row in rows])
    return [
        TokenizedSample(id, one.ids[:max_length], one.turns[-1][0], len(one.ids) > max_length, one.straddling,
                        one.turns, one.closing)
        for id, one in zip(ids, read, strict=True)
    ]  # fmt: skip


def _instructions(tokenizer: Any, rows: Sequence[dict[str, Any]], max_length: int) -> list[TokenizedSample]:
    parts = [seam.parted(row["prompt"], row["response"]) for row in rows]
    prompts = seam.encoded(tokenizer, [prompt for prompt, _ in parts])
    texts = seam.encoded(tokenizer, [prompt + response for prompt, response in parts])
    samples = []
    for row, part, prompt_ids, ids in zip(rows, parts, prompts, texts, strict=True):
        start, straddling = seam.response_start(tokenizer, row["id"], *part, prompt_ids, ids)
        # OPT and Llama tokenizers may use one token as BOS and EOS; the one of the prompt stays.
        closed = len(ids) > start and ids[-1] == tokenizer.eos_token_id
        input_ids = ids if closed else [*ids, tokenizer.eos_token_id]
        samples.append(
            TokenizedSample(row["id"], input_ids[:max_length], start, len(input_ids) > max_length, straddling)
        )
    return samples


def tokenize_stream(
    tokenizer: Any, batches: Iterable[list[dict[str, str]]], max_length: int
) -> Iterator[list[TokenizedSample]]:
    """Like `tokenize_all` for each of many batches, in order; only a few are in memory at the same time.

    A tokenizer of the Rust library works on one batch in its own threads, one per core, while Python works on another.

    Raises:
        InputError: as `tokenize_all`.
    """
    threads = THREADS if tokenizer.is_fast else 1
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[list[TokenizedSample]]] = deque()
        for rows in batches:
            waiting.append(pool.submit(tokenize_all, tokenizer, rows, max_length))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def tokenize_instructions(model: Path, instructions: Path, max_length: int, output: Path) -> dict[str, int]:
    """Tokenize the instructions of one dataset for one model; returns counts of samples and tokens, as in report.json.

    Samples whose whole response lies beyond the maximum length are dropped and counted. `output` gets Arrow shards with
    the prompt masked by −100, samples.csv with the lengths, and report.json. Its count `straddling` is the number of
    samples in which one token contains the end of the prompt and the start of the response.

    Args:
        model: folder with the tokenizer.
        instructions: parquet with id, prompt and response, and messages if they are chats; some thousand rows are read
            at a time.
        max_length: tokens a sample may have.
        output: folder of the shards.

    Raises:
        InputError: no sample is left, the instructions cannot be read, or the folder has no tokenizer.
    """
    tokenizer = models.load_tokenizer(model)
    columns = ["id", "prompt", "response"]
    has_messages = "messages" in parquet_columns(instructions)
    batches = parquet_batches(instructions, [*columns, *(["messages"] if has_messages else [])], shards.ROWS)
    if has_messages:
        batches = map(_with_messages, batches)
    progress = Progress(f"{instructions}, tokenized")
    counts = Counter[str]()
    with atomic_path(output) as temporary:
        made = shards.Shards(temporary)
        for samples in tokenize_stream(tokenizer, batches, max_length):
            kept = [sample for sample in samples if sample.response_tokens]
            made.add(kept)
            counts.update(_counted(samples, kept))
            progress.add(len(samples))
        if not counts["kept"]:
            raise InputError(
                f"every sample of {instructions} was dropped: no response begins within {max_length} tokens; raise "
                "tokenization.max_length."
            )
        made.close()
        report = {**counts, "max_length": max_length}
        write_json(temporary / "report.json", report)
    return report


def _with_messages(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "messages": messages_of(row["messages"])} for row in rows]


def _counted(samples: Sequence[TokenizedSample], kept: Sequence[TokenizedSample]) -> dict[str, int]:
    return {
        "samples": len(samples),
        "kept": len(kept),
        "dropped": len(samples) - len(kept),
        "truncated": sum(sample.truncated for sample in kept),
        "straddling": sum(sample.straddling for sample in kept),
        "tokens": sum(len(sample.input_ids) for sample in kept),
        "response_tokens": sum(sample.response_tokens for sample in kept),
    }
