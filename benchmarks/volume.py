"""Measure rate and memory of the scripts on large files: a million JSON lines, 2 GB of JSON, parquet, 100 000 patterns.

    python benchmarks/volume.py [--part N] [--only lines list parquet pool] [--folder FOLDER] [--output FILE]

Each file is first generated from invented words and sentences, and removed at the end. The scripts are those of the
workflow. Memory is the largest sum of the resident sets of a script and its child processes, sampled ten times per
second; `cores` is the processor time of all of them per second. Rows per second and core are valid even if other
programs use the machine.
"""

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow
import pyarrow.parquet
from common import markdown, write_table

from headpatterns.io import write_csv, write_json

SCRIPTS = Path(__file__).resolve().parents[1] / "workflow_scripts"
COLUMNS = ("script", "input", "rows", "gigabytes", "seconds", "rows_a_second", "cores", "rows_a_core_second", "peak_gb")
GB = 1e9
LOOK = 0.1
"""Seconds between two samples of the memory."""

ROWS, BYTES, POOL, PRIVATE = 10**6, 2 * GB, 10**5, 200
KINDS = ("lines", "list", "parquet")
LAYERS = HEADS = 32
MOST_TOKENS = 512
LONGER = 4
"""Factor of the length of texts in the parquet file: its rows have a kilobyte, compressed."""
GROUP = 2**18
"""Rows of a row group of the parquet file, a quarter of a gigabyte."""


def main(arguments: argparse.Namespace) -> None:
    """Make the files, run the scripts on them and print the table."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        rows = []
        kinds = [kind for kind in KINDS if kind in arguments.only]
        if kinds:
            tokenizer = trained_tokenizer(folder)
            rows += [row for kind in kinds for row in instructions(kind, arguments.part, folder, tokenizer)]
        if "pool" in arguments.only:
            rows.append(selection(POOL // arguments.part, folder))
    text = markdown(COLUMNS, rows)
    print(text)
    if arguments.output:
        write_table(arguments.output, COLUMNS, rows, text)


def sentences(generator: np.random.Generator, count: int) -> list[str]:
    """Sentences of invented words; some words are much more frequent than others."""
    letters = generator.choice(list("aeioubdfgklmnprst"), (20_000, 8))
    words = ["".join(word[: 2 + place % 7]) for place, word in enumerate(letters)]
    drawn = (generator.zipf(1.2, (count, 12)) - 1) % len(words)
    return [" ".join(words[place] for place in sentence) + "." for sentence in drawn]


def texts(seed: int, times: int = 1) -> Iterator[tuple[str, str]]:
    """Endless questions and answers: each has a unique number, and about `times` three and five sentences."""
    generator = np.random.default_rng(seed)
    known = sentences(generator, 50_000)
    for start in itertools.count(0, 1000):
        for number, (asked, told) in enumerate(times * generator.integers(1, (6, 10), (1000, 2)), start=start):
            places = generator.integers(0, len(known), asked + told)
            said = [known[place] for place in places]
            yield f"{number}: {' '.join(said[:asked])}", " ".join(said[asked:])


def trained_tokenizer(folder: Path) -> Path:
    """A tokenizer of 8000 tokens for these texts."""
    corpus, tokenizer = folder / "corpus.jsonl", folder / "tokenizer"
    with corpus.open("w", encoding="utf-8") as file:
        for _, text in itertools.islice(texts(0), 3000):
            file.write(json.dumps({"text": text}) + "\n")
    measured("train_tokenizer", "--corpus", corpus, "--vocabulary", 8000, "--output", tokenizer)
    return tokenizer


def instructions(kind: str, part: int, folder: Path, tokenizer: Path) -> Iterator[dict[str, Any]]:
    """Rows of the table for a file of rows: its preparation, and the tokenization of the result.

    The result of a list is the same as that of lines, so it is not tokenized.
    """
    makers = {"lines": (lines, ROWS), "list": (one_list, BYTES), "parquet": (parquet, BYTES)}
    make, whole = makers[kind]
    path, rows = make(folder, whole // part)
    prepared, columns = folder / "instructions", {"prompt": "question", "response": "answer"}
    about = {"input": path.suffix[1:], "rows": rows}
    found = measured(
        "prepare_instructions", "--dataset", "volume", "--adapter", "generic", "--train-files", path,
        "--options", json.dumps({"columns": columns}), "--probe-samples", 1000, "--seed", 0, "--output", prepared,
    )  # fmt: skip
    yield {"script": "prepare_instructions", **about, "gigabytes": path.stat().st_size / GB, **rate(rows, found)}
    path.unlink()
    if kind != "list":
        yield tokenization(prepared / "train.parquet", tokenizer, folder / "tokenized")
    shutil.rmtree(prepared)


def tokenization(kept: Path, tokenizer: Path, output: Path) -> dict[str, Any]:
    """The row of the table for the tokenization of prepared instructions."""
    found = measured(
        "tokenize_instructions", "--model", tokenizer, "--instructions", kept, "--max-length", MOST_TOKENS,
        "--output", output,
    )  # fmt: skip
    shutil.rmtree(output)
    size, rows = kept.stat().st_size / GB, pyarrow.parquet.read_metadata(kept).num_rows
    return {"script": "tokenize_instructions", "input": "parquet", "rows": rows, "gigabytes": size, **rate(rows, found)}


def lines(folder: Path, rows: int) -> tuple[Path, int]:
    """A file of JSON lines, and their number."""
    path = folder / "rows.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for question, answer in itertools.islice(texts(1), rows):
            file.write(json.dumps({"question": question, "answer": answer}) + "\n")
    return path, rows


def one_list(folder: Path, size: float) -> tuple[Path, int]:
    """A JSON file of at least `size` bytes that is one list, and its number of rows."""
    path, found, rows = folder / "rows.json", texts(1), 0
    with path.open("wb") as file:
        while file.tell() < size:
            question, answer = next(found)
            row = json.dumps({"question": question, "answer": answer})
            file.write(f"{',' if rows else '['}\n{row}".encode())
            rows += 1
        file.write(b"\n]\n")
    return path, rows


def parquet(folder: Path, size: float) -> tuple[Path, int]:
    """A parquet file of at least `size` bytes, without the last row group, and its number of rows."""
    path, found, rows = folder / "rows.parquet", texts(2, LONGER), 0
    schema = pyarrow.schema({"question": pyarrow.string(), "answer": pyarrow.string()})
    group = GROUP if size >= GB else GROUP // 8
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while path.stat().st_size < size:
            part = list(itertools.islice(found, group))
            columns = {name: [row[place] for row in part] for place, name in enumerate(schema.names)}
            writer.write_table(pyarrow.table(columns, schema=schema), row_group_size=group)
            rows += len(part)
    return path, rows


def selection(samples: int, folder: Path) -> dict[str, Any]:
    """The row of the table for a pool with generated patterns and prompts."""
    pool = patterns(folder / "pool", "pool", samples)
    private = patterns(folder / "private", "private", PRIVATE)
    prompts = {"pool": pool, "private": private}
    for (name, ids), seed in zip(prompts.items(), (3, 4), strict=True):
        said = list(itertools.islice(texts(seed), len(ids)))
        columns = {"id": ids, "prompt": [question for question, _ in said], "response": [answer for _, answer in said]}
        pyarrow.parquet.write_table(pyarrow.table(columns), folder / f"{name}.parquet")
    write_csv(folder / "pool.csv", ("dataset", "id"), [("volume", id) for id in pool])
    size = sum(path.stat().st_size for path in (folder / "pool").iterdir()) / GB
    found = measured(
        "select_samples", "--dataset", "volume", "--domain", "domain", "--seed", 0, "--pool", folder / "pool.csv",
        "--pool-patterns", folder / "pool", "--pseudo-private-patterns", folder / "private",
        "--instructions", folder / "pool.parquet", "--pseudo-private", folder / "private.parquet",
        "--budgets", samples // 10, "--random-draws", 3, "--output", folder / "selected",
    )  # fmt: skip
    about = {"script": "select_samples", "input": f"patterns, {LAYERS} × {HEADS}", "rows": samples, "gigabytes": size}
    return {**about, **rate(samples, found)}


def patterns(folder: Path, name: str, samples: int) -> list[str]:
    """A folder of patterns before and after fine-tuning, as uneven as real ones, and the ids of its samples."""
    folder.mkdir()
    ids = [f"{name}-{number}" for number in range(samples)]
    for step in (0, 100):
        generator = np.random.default_rng(samples + step)
        shape = (samples, LAYERS, HEADS)
        array = np.lib.format.open_memmap(folder / f"step-{step}.samples.npy", "w+", np.dtype(np.float32), shape)
        for start in range(0, samples, 1000):
            drawn = generator.standard_normal((min(1000, samples - start), LAYERS, HEADS), dtype=np.float32)
            array[start : start + 1000] = drawn * np.exp(1.5 * generator.standard_normal((LAYERS, HEADS)))
        array.flush()
        about = {"ids": ids, "losses": [1.0] * samples, "response_tokens": [10] * samples}
        reductions = {"reduction": "abs_of_sum", "also": [], "signed": ["abs_of_sum"]}
        write_json(folder / f"step-{step}.json", {**reductions, **about})
    return ids


def rate(rows: int, found: dict[str, float]) -> dict[str, float]:
    """The measurements, with rows per second."""
    seconds = found["seconds"]
    return {
        **found,
        "rows_a_second": round(rows / seconds),
        "rows_a_core_second": round(rows / seconds / found["cores"]),
    }


def measured(script: str, *words: Any) -> dict[str, float]:
    """Run a script of the workflow; returns its seconds, the cores that it used, and its peak memory in GB."""
    started, peak, busy = time.perf_counter(), 0, 0.0
    with subprocess.Popen([sys.executable, SCRIPTS / f"{script}.py", *map(str, words)]) as process:
        top = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                tree = [top, *top.children(recursive=True)]
                peak = max(peak, sum(one.memory_info().rss for one in tree))
                busy = max(busy, sum(sum(one.cpu_times()[:2]) for one in tree))
            except psutil.NoSuchProcess:  # one of them has just ended
                pass
            time.sleep(LOOK)
    if process.returncode:
        sys.exit(f"{script} ended with status {process.returncode}.")
    seconds = time.perf_counter() - started
    return {"seconds": round(seconds, 1), "cores": round(busy / seconds, 2), "peak_gb": peak / GB}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--part", type=int, default=1, help="divides every size: with 10, a tenth is measured (1)")
    made.add_argument("--only", nargs="+", choices=(*KINDS, "pool"), default=[*KINDS, "pool"],
                      help="what to measure (all)")  # fmt: skip
    made.add_argument(
        "--folder", type=Path, help="folder of the files while they are measured, 10 GB (the temporary folder)"
    )
    made.add_argument("--output", type=Path, help="file of the table; CSV and Markdown are written")
    return made


if __name__ == "__main__":
    main(parser().parse_args())
