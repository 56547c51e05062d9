"""Reading the samples of a probe set: the workflow's instructions or anybody's own file."""

import hashlib
import json
from pathlib import Path
from typing import Any

from headpatterns.data.tokens import TokenizedSample, tokenize_all
from headpatterns.errors import InputError
from headpatterns.io import read_parquet


def read(path: Path) -> list[dict[str, str]]:
    """Rows with `id`, `prompt` and `response` of a jsonl or parquet file, in order; a missing id is the row's number.

    Raises:
        InputError: no such file, another format, a row that lacks a field or repeats an id, an empty response.
    """
    if not path.is_file():
        raise InputError(f"the data file {path} does not exist.")
    readers = {".jsonl": _read_jsonl, ".parquet": _read_parquet}
    if path.suffix not in readers:
        raise InputError(f"{path} is neither .jsonl nor .parquet: convert it to one of them.")
    rows = [checked(path, number, row) for number, row in enumerate(readers[path.suffix](path), start=1)]
    if not rows:
        raise InputError(f"{path} holds no row.")
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        if row["id"] in seen:
            raise InputError(f"{path}: rows {seen[row['id']]} and {number} have the same id '{row['id']}'.")
        seen[row["id"]] = number
    return rows


def tokenized(
    tokenizer: Any, rows: list[dict[str, str]], max_length: int, path: Path, skip: bool
) -> tuple[list[TokenizedSample], list[str]]:
    """Tokenized rows, in order, and the ids of those left out.

    A row whose response lies wholly beyond `max_length` is an InputError, or is left out with `skip`.
    """
    samples = tokenize_all(tokenizer, rows, max_length)
    without = [sample.id for sample in samples if not sample.response_tokens]
    if without and (not skip or len(without) == len(samples)):
        raise InputError(
            f"{path}: the response of sample '{without[0]}' (and of {len(without) - 1} more) lies wholly beyond the "
            f"maximum length of {max_length} tokens: raise it, shorten the prompts or leave such samples out."
        )
    return [sample for sample in samples if sample.response_tokens], without


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_parquet(path: Path) -> list[Any]:
    rows: list[Any] = read_parquet(path).to_pylist()
    return rows


def _read_jsonl(path: Path) -> list[Any]:
    rows = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                rows.append(json.loads(line))
            except ValueError as error:  # no JSON, or no UTF-8
                raise InputError(f"{path}, line {number} is not valid JSON ({error}): fix or remove it.") from error
    return rows


def checked(path: Path | str, number: int, row: Any) -> dict[str, str]:
    """`id`, `prompt` and `response` of the row with this number, from 1 on; `path` is where it is said to come from.

    Raises:
        InputError: it lacks one of the latter two, or has an empty response.
    """
    if not isinstance(row, dict):
        raise InputError(f"{path}, row {number} is not an object with prompt and response.")
    for field in ("prompt", "response"):
        if not isinstance(row.get(field), str):
            raise InputError(
                f"{path}, row {number} has no text in the field '{field}' (fields there: {', '.join(row)}): "
                "every row needs prompt and response."
            )
    if not row["response"].strip():
        raise InputError(f"{path}, row {number} has an empty response: remove it or give it one.")
    id = number if row.get("id") is None else row["id"]
    return {"id": str(id), "prompt": row["prompt"], "response": row["response"]}
