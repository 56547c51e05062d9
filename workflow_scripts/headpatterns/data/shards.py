"""Tokenized samples on disk: Arrow shards that `datasets.load_from_disk` reads, written as samples arrive."""

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headpatterns.data.tokens import TokenizedSample

ROWS = 1000
"""Samples of a record batch."""

SHARD = 5 * 10**8
"""Bytes of a shard, without the record batch that ends it."""

NUMBERS = {"feature": {"dtype": "int32", "_type": "Value"}, "_type": "List"}
FEATURES = {"id": {"dtype": "string", "_type": "Value"}, "input_ids": NUMBERS, "labels": NUMBERS}
INFO: dict[str, Any] = {"citation": "", "description": "", "features": FEATURES, "homepage": "", "license": ""}
LENGTHS = ("id", "tokens", "response_tokens", "truncated")


class Shards:
    """A folder of shards with the columns `id`, `input_ids` and `labels`, and samples.csv with the lengths."""

    def __init__(self, folder: Path, shard_bytes: int = SHARD) -> None:
        """Make the folder; each shard ends after `shard_bytes` bytes."""
        import pyarrow

        numbers = pyarrow.list_(pyarrow.int32())
        about = {"huggingface": json.dumps({"info": {"features": FEATURES}})}
        self._schema = pyarrow.schema(
            {"id": pyarrow.string(), "input_ids": numbers, "labels": numbers}, metadata=about
        )  # fmt: skip
        self._folder, self._most = folder, shard_bytes
        self._shards: list[Path] = []
        self._writer: Any = None
        self._written = 0
        self._digest = hashlib.sha256()
        folder.mkdir(parents=True, exist_ok=True)
        self._lengths = (folder / "samples.csv").open("w", newline="", encoding="utf-8")
        csv.writer(self._lengths).writerow(LENGTHS)

    def add(self, samples: Sequence["TokenizedSample"]) -> None:
        """Append samples as one record batch."""
        import pyarrow

        columns = [
            pyarrow.array([sample.id for sample in samples], pyarrow.string()),
            pyarrow.array([sample.input_ids for sample in samples], self._schema.field("input_ids").type),
            pyarrow.array([sample.labels for sample in samples], self._schema.field("labels").type),
        ]
        batch = pyarrow.record_batch(columns, schema=self._schema)
        if self._writer is None or self._written >= self._most:
            self._begin()
        self._writer.write_batch(batch)
        self._written += batch.nbytes
        csv.writer(self._lengths).writerows(
            [sample.id, len(sample.input_ids), sample.response_tokens, int(sample.truncated)] for sample in samples
        )
        for sample in samples:
            content = f"{sample.id} {sample.turns or sample.response_start} {sample.input_ids}"
            self._digest.update(hashlib.sha256(content.encode()).digest())

    def _begin(self) -> None:
        """Open the next shard."""
        import pyarrow

        if self._writer is not None:
            self._writer.close()
        self._shards.append(self._folder / f"data-{len(self._shards):05d}.arrow")
        self._writer = pyarrow.ipc.new_stream(self._shards[-1], self._schema)
        self._written = 0

    def close(self, name: str | None = None) -> None:
        """Write the description of the shards; `name` is a fingerprint of their content.

        With a random fingerprint, equal content would not give equal bytes.
        """
        if self._writer is None:
            self._begin()
        self._writer.close()
        self._lengths.close()
        files = [f"data-{number:05d}-of-{len(self._shards):05d}.arrow" for number in range(len(self._shards))]
        for shard, file in zip(self._shards, files, strict=True):
            shard.rename(self._folder / file)
        state: dict[str, Any] = {
            "_data_files": [{"filename": file} for file in files],
            "_fingerprint": name or self._digest.hexdigest()[:16],
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": None,
        }
        for file, content in (("state.json", state), ("dataset_info.json", INFO)):
            (self._folder / file).write_text(json.dumps(content, indent=2), encoding="utf-8")
