"""Makes the broken inputs of tests/bad_inputs: each step writes a valid file, or breaks an existing one."""

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import torch
from raw_rows import SCHEMAS
from safetensors.torch import load_file, save_file

PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def make(folder: Path, steps: Sequence[Mapping[str, Any]]) -> None:
    """Run the steps of a case. Each step is the name of a function below with its arguments."""
    for step in steps:
        [(name, arguments)] = step.items()
        STEPS[name](folder, **arguments)


def text(folder: Path, file: str, content: str, encoding: str = "utf-8") -> None:
    """Write a file with a text in the given encoding."""
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(content.encode(encoding))


def raw(folder: Path, file: str, hexadecimal: str) -> None:
    """Write a file of these bytes."""
    (folder / file).write_bytes(bytes.fromhex(hexadecimal))


def noise(folder: Path, file: str, size: int = 400) -> None:
    """Write a file of random bytes, which are the same each time."""
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(random.Random(7).randbytes(size))


def rows(
    folder: Path,
    file: str,
    schema: str | None = None,
    count: int = 12,
    without: Sequence[str] = (),
    at: int | None = None,
    values: Mapping[str, Any] | None = None,
) -> None:
    """Write rows in the format of the file's suffix. They follow a schema, or have a prompt and a response.

    Row number `at` gets `values` and lacks the fields `without`. If `at` is None, this applies to every row.
    """
    made = []
    for number in range(1, count + 1):
        plain = {"prompt": f"What is {number} plus 1?", "response": f"It is {number + 1}."}
        row = dict(SCHEMAS[schema].row) if schema else plain
        if at in (None, number):
            row = {name: value for name, value in {**row, **(values or {})}.items() if name not in without}
        made.append(row)
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_written(made, path.name))


def _written(made: list[dict[str, Any]], name: str) -> bytes:
    stem, _, suffix = name.rpartition(".")
    if f".{suffix}" in PACKERS:
        return PACKERS[f".{suffix}"](_written(made, stem))
    buffer = io.BytesIO()
    if suffix == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(made), buffer)
    elif suffix == "arrow":
        table = pyarrow.Table.from_pylist(made)
        with pyarrow.ipc.new_stream(buffer, table.schema) as stream:
            stream.write_table(table)
    elif suffix in ("csv", "tsv"):
        words = io.StringIO()
        writer = csv.DictWriter(words, list(made[0]), dialect="excel" if suffix == "csv" else "excel-tab")
        writer.writeheader()
        writer.writerows(made)
        return words.getvalue().encode()
    elif suffix == "json":
        return json.dumps(made).encode()
    else:
        return "".join(json.dumps(row) + "\n" for row in made).encode()
    return buffer.getvalue()


def cut(folder: Path, file: str, drop: int) -> None:
    """Remove the last bytes of a file."""
    path = folder / file
    content = path.read_bytes()
    assert len(content) > drop
    path.write_bytes(content[:-drop])


def overwrite(folder: Path, file: str, at: int, hexadecimal: str) -> None:
    """Overwrite bytes of a file from position `at`; a negative position counts from the end."""
    path = folder / file
    content, other = bytearray(path.read_bytes()), bytes.fromhex(hexadecimal)
    start = at % len(content)
    content[start : start + len(other)] = other
    path.write_bytes(bytes(content))


def append(folder: Path, file: str, content: str) -> None:
    """Append a text to a file."""
    with (folder / file).open("a", encoding="utf-8") as opened:
        opened.write(content)


def remove(folder: Path, file: str) -> None:
    """Remove a file or a folder."""
    path = folder / file
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def move(folder: Path, file: str, to: str) -> None:
    """Give a file another name."""
    (folder / file).rename(folder / to)


def directory(folder: Path, file: str) -> None:
    """Make an empty folder."""
    (folder / file).mkdir(parents=True)


def link(folder: Path, file: str, to: str) -> None:
    """Make a symbolic link."""
    (folder / file).symlink_to(to)


def fields(folder: Path, file: str, values: Mapping[str, Any], without: Sequence[str] = ()) -> None:
    """Change some keys of a JSON file, and remove others."""
    path = folder / file
    content = json.loads(path.read_text()) | dict(values)
    path.write_text(json.dumps({name: value for name, value in content.items() if name not in without}))


def weights(folder: Path, file: str, tensor: str, become: str) -> None:
    """Change the first tensor whose name starts with `tensor`; `float8` changes all tensors."""
    path = folder / file
    tensors = load_file(path)
    name = next(one for one in sorted(tensors) if one.startswith(tensor))
    changes = {
        "nan": lambda: tensors.update({name: torch.full_like(tensors[name], float("nan"))}),
        "infinite": lambda: tensors.update({name: torch.full_like(tensors[name], float("inf"))}),
        "float8": lambda: tensors.update({one: value.to(torch.float8_e4m3fn) for one, value in tensors.items()}),
        "integers": lambda: tensors.update({name: tensors[name].to(torch.int8)}),
        "narrower": lambda: tensors.update({name: tensors[name][..., :-1].contiguous()}),
        "missing": lambda: tensors.pop(name),
        "renamed": lambda: tensors.update({f"x.{name}": tensors.pop(name)}),
        "extra": lambda: tensors.update({f"{name}.more": tensors[name].clone()}),
    }
    changes[become]()
    save_file(tensors, path, metadata={"format": "pt"})


def narrow(folder: Path, file: str, tokens: int) -> None:
    """Keep only the embeddings of a model's first tokens, and set `vocab_size` to their number."""
    path = folder / file
    tensors = load_file(path)
    cut = {name: value[:tokens].contiguous() for name, value in tensors.items() if "embed" in name or "lm_head" in name}
    save_file({**tensors, **cut}, path, metadata={"format": "pt"})
    fields(folder, f"{Path(file).parent}/config.json", {"vocab_size": tokens})


def pickled(folder: Path, file: str) -> None:
    """Replace the weights by a PyTorch pickle."""
    path = folder / file
    torch.save(load_file(path), path.with_name("pytorch_model.bin"))
    path.unlink()


def sharded(folder: Path, file: str, missing: bool = False, unlisted: bool = False) -> None:
    """Split the weights into two files with an index.

    `missing` removes the second file. `unlisted` makes the index name files that do not exist.
    """
    path = folder / file
    tensors = load_file(path)
    path.unlink()
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for part, own in parts.items():
        save_file({name: tensors[name] for name in own}, path.with_name(part), metadata={"format": "pt"})
    listed = {name: part for part, own in parts.items() for name in own}
    if unlisted:
        listed = {name: f"{part}.gone" for name, part in listed.items()}
    index = {"metadata": {"total_size": 1}, "weight_map": listed}
    path.with_name("model.safetensors.index.json").write_text(json.dumps(index))
    if missing:
        path.with_name("model-00002-of-00002.safetensors").unlink()


STEPS = {
    one.__name__: one
    for one in (text, raw, noise, rows, cut, overwrite, append, remove, move, directory, link, fields, weights, narrow,
                pickled, sharded)
}  # fmt: skip
"""The steps that a case may list, by name."""
