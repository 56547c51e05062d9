"""Instructions to token ids, the one way in which training, attribution and anybody's own file are tokenized."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns.data import seam
from headpatterns.errors import InputError
from headpatterns.io import atomic_path, read_parquet, write_json
from headpatterns.models import loading as models
from headpatterns.provenance import fingerprint

IGNORED = -100
"""Label of the tokens that carry no loss (the convention of PyTorch's cross entropy and of transformers)."""


@dataclass(frozen=True)
class TokenizedSample:
    """One instruction as the model reads it.

    Attributes:
        id: the instruction's id.
        input_ids: prompt, response and EOS, at most `max_length` tokens.
        response_start: position of the first response token; positions before it belong to the prompt.
        truncated: whether tokens were cut off at `max_length`.
        straddling: whether the first response token holds the end of the prompt as well.
    """

    id: str
    input_ids: list[int]
    response_start: int
    truncated: bool
    straddling: bool = False

    @property
    def labels(self) -> list[int]:
        """`input_ids` with the prompt masked by −100, so that the loss is on response and EOS alone."""
        return [IGNORED] * min(self.response_start, len(self.input_ids)) + self.input_ids[self.response_start :]

    @property
    def response_tokens(self) -> int:
        """Number of tokens that carry a loss: response and EOS, as far as they were not cut off.

        A first token has no token before it to be predicted from, hence carries none.
        """
        return max(0, len(self.input_ids) - max(self.response_start, 1))


def tokenize(tokenizer: Any, id: str, prompt: str, response: str, max_length: int) -> TokenizedSample:
    """Tokenize one instruction as `tokenize_all` does."""
    return tokenize_all(tokenizer, [{"id": id, "prompt": prompt, "response": response}], max_length)[0]


def tokenize_all(tokenizer: Any, rows: Sequence[dict[str, str]], max_length: int) -> list[TokenizedSample]:
    """Tokenize rows with the keys `id`, `prompt` and `response`, in order.

    Prompt and response are tokenized as one text, just as they join. The special tokens that the tokenizer puts before
    a text stand before it, and EOS behind it, once each, whether or not the text brings its own. The whole is cut to
    `max_length` tokens.

    Raises:
        InputError: the tokenizer does not tell where a response begins.
    """
    if not rows:
        return []
    parts = [seam.parted(row["prompt"], row["response"]) for row in rows]
    prompts = seam.encoded(tokenizer, [prompt for prompt, _ in parts])
    texts = seam.encoded(tokenizer, [prompt + response for prompt, response in parts])
    samples = []
    for row, part, prompt_ids, ids in zip(rows, parts, prompts, texts, strict=True):
        start, straddling = seam.response_start(tokenizer, row["id"], *part, prompt_ids, ids)
        # An OPT or Llama tokenizer may use one token as BOS and EOS: that of the prompt stays.
        closed = len(ids) > start and ids[-1] == tokenizer.eos_token_id
        input_ids = ids if closed else [*ids, tokenizer.eos_token_id]
        samples.append(
            TokenizedSample(row["id"], input_ids[:max_length], start, len(input_ids) > max_length, straddling)
        )
    return samples


def write_shards(samples: Sequence[TokenizedSample], name: str, folder: Path, shard_size: str = "500MB") -> None:
    """Write samples as Arrow shards that `datasets.load_from_disk` reads: `id`, `input_ids`, `labels`.

    `name` is a fingerprint of the content; with a random one, equal content would not give equal bytes.
    """
    import pyarrow
    from datasets import Dataset
    from datasets.table import InMemoryTable

    columns = {
        "id": pyarrow.array([sample.id for sample in samples], pyarrow.string()),
        "input_ids": pyarrow.array([sample.input_ids for sample in samples], pyarrow.list_(pyarrow.int32())),
        "labels": pyarrow.array([sample.labels for sample in samples], pyarrow.list_(pyarrow.int32())),
    }
    dataset = Dataset(InMemoryTable(pyarrow.table(columns)), fingerprint=name)
    dataset.save_to_disk(folder, max_shard_size=shard_size)


def tokenize_instructions(model: Path, instructions: Path, max_length: int, output: Path) -> dict[str, int]:
    """Tokenize the instructions of one dataset for one model; samples and tokens counted, as in report.json.

    Those whose response lies wholly beyond the maximum length are dropped and counted. `output` receives Arrow shards
    with the prompt masked by −100, samples.csv with the lengths, and report.json. Its count `straddling` is of the
    samples in which one token holds the end of the prompt and the beginning of the response.

    Args:
        model: folder with the tokenizer.
        instructions: parquet with id, prompt and response.
        max_length: tokens a sample may have.
        output: folder of the shards.

    Raises:
        InputError: no sample is left, the instructions cannot be read, or the folder holds no tokenizer.
    """
    tokenizer = models.load_tokenizer(model)
    rows = read_parquet(instructions, ["id", "prompt", "response"]).to_pylist()
    samples = tokenize_all(tokenizer, rows, max_length)
    kept = [sample for sample in samples if sample.response_tokens]
    if not kept:
        raise InputError(
            f"every sample of {instructions} was dropped: no response begins within {max_length} tokens; raise "
            "tokenization.max_length."
        )
    report = {
        "samples": len(samples),
        "kept": len(kept),
        "dropped": len(samples) - len(kept),
        "truncated": sum(sample.truncated for sample in kept),
        "straddling": sum(sample.straddling for sample in kept),
        "tokens": sum(len(sample.input_ids) for sample in kept),
        "response_tokens": sum(sample.response_tokens for sample in kept),
        "max_length": max_length,
    }
    name = fingerprint(*(f"{sample.id} {sample.response_start} {sample.input_ids}" for sample in kept))
    with atomic_path(output) as temporary:
        write_shards(kept, name, temporary)
        _write_lengths(kept, temporary / "samples.csv")
        write_json(temporary / "report.json", report)
    return report


def _write_lengths(samples: Sequence[TokenizedSample], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "tokens", "response_tokens", "truncated"])
        writer.writerows(
            [sample.id, len(sample.input_ids), sample.response_tokens, int(sample.truncated)] for sample in samples
        )
