"""Large files need little memory, and give the same rows, tokens and rankings as small ones."""

import itertools
import json
import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import scripts

from headpatterns import cli as command_line
from headpatterns import progress
from headpatterns.attribution import files
from headpatterns.data import preparation, shards, splitting, spool
from headpatterns.data.records import Instruction
from headpatterns.io import parquet_batches, write_csv, write_json
from headpatterns.studies import patterns as of_runs
from headpatterns.studies.observed import as_run
from headpatterns.studies.reading import Reading
from headpatterns.studies.selection import scores

OPTIONS = json.dumps({"columns": {"prompt": "question", "response": "answer"}})
MIB = 1024

MEASURED = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
print(open("/proc/self/status").read())
"""


def peak(script, **options):
    """The largest resident set, in MiB, of a script in its own process."""
    command = [sys.executable, "-c", MEASURED, scripts.FOLDER / f"{script}.py", *scripts.words(**options)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(re.search(r"^VmHWM:\s+(\d+) kB", done.stdout, re.MULTILINE)[1]) / MIB


def text(number, length):
    """A different text for each number."""
    return f"{number} " + "".join(f"word{(number * 7 + place) % 97} " for place in range(length // 7)) + "end."


def write_lines(path, rows, length):
    with path.open("w") as file:
        for number in range(rows):
            file.write(json.dumps({"question": f"Why {number}?", "answer": text(number, length)}) + "\n")
    return path


def growth(sizes, measured):
    small, large = (measured(size) for size in sizes)
    return large - small


@pytest.mark.slow
def test_preparation_holds_no_texts(tmp_path):
    """The larger file has 60 MB more of texts, which would take twice as much in memory."""

    def measured(rows):
        path = write_lines(tmp_path / f"{rows}.jsonl", rows, 10_000)
        given = {"dataset": "d", "adapter": "generic", "options": OPTIONS, "probe_samples": 5, "seed": 0}
        return peak("prepare_instructions", train_files=path, output=tmp_path / f"out{rows}", **given)

    assert growth((1000, 7000), measured) < 80
    found = pyarrow.parquet.ParquetFile(tmp_path / "out7000" / "train.parquet")
    assert found.metadata.num_rows == 6995 and found.num_row_groups > 3


@pytest.mark.slow
def test_tokenization_holds_some_thousand_samples(tmp_path, tokenizer_folder):
    """The larger file has two million more tokens, which would take 390 MiB in memory."""

    def measured(rows):
        table = {"id": [f"s{n}" for n in range(rows)], "prompt": [f"Why {n}?" for n in range(rows)]}
        responses = [text(n, 400) for n in range(rows)]
        path = tmp_path / f"{rows}.parquet"
        pyarrow.parquet.write_table(pyarrow.table({**table, "response": responses}), path)
        return peak("tokenize_instructions", model=tokenizer_folder, instructions=path, max_length=512,
                    output=tmp_path / f"out{rows}")  # fmt: skip

    assert growth((4000, 12_000), measured) < 80


def write_pool(folder, samples, layers=32, heads=32):
    folder.mkdir()
    ids = [f"p{number}" for number in range(samples)]
    for step in (0, 9):
        values = np.random.default_rng(samples + step).standard_normal((samples, layers, heads), dtype=np.float32)
        np.save(folder / f"step-{step}.samples.npy", values)
        about = {"reduction": "abs_of_sum", "also": [], "signed": ["abs_of_sum"], "ids": ids}
        write_json(folder / f"step-{step}.json", {**about, "losses": [2.0] * samples, "response_tokens": [3] * samples})
    prompts = [f"word{number % 50} and word{number % 7}" for number in range(samples)]
    table = pyarrow.table({"id": ids, "prompt": prompts, "response": ["x"] * samples})
    pyarrow.parquet.write_table(table, folder.with_suffix(".parquet"))
    write_csv(folder.with_suffix(".csv"), ("dataset", "id"), [("d", id) for id in ids])
    return folder


@pytest.mark.slow
def test_a_pool_is_ranked_out_of_its_files(tmp_path):
    private = write_pool(tmp_path / "private", 20)

    def measured(samples):
        pool = write_pool(tmp_path / f"pool{samples}", samples)
        return peak("select_samples", dataset="d", domain="x", seed=0, pool=pool.with_suffix(".csv"),
                    pool_patterns=pool, pseudo_private_patterns=private, instructions=pool.with_suffix(".parquet"),
                    pseudo_private=private.with_suffix(".parquet"), budgets=[10], random_draws=1,
                    output=tmp_path / f"out{samples}")  # fmt: skip

    assert growth((1000, 13_000), measured) < 60  # the patterns alone take 96 MiB more


@pytest.mark.parametrize("normalisation", ["none", "loss", "total"])
def test_scores_of_what_lies_on_disk_are_those_of_an_array(tmp_path, monkeypatch, normalisation):
    folder = write_pool(tmp_path / "pool", 50, 3, 4)
    reading = Reading(normalisation=normalisation)
    lying = of_runs.on_disk(as_run(folder, "pool"), 9, reading)
    stored = np.abs(np.load(folder / "step-9.samples.npy"))
    divisors = {"none": np.ones(50), "loss": np.full(50, 2.0), "total": stored.sum(axis=(1, 2), dtype=float)}
    array = stored / divisors[normalisation][:, None, None]
    np.testing.assert_array_equal(lying[7:20], array[7:20].astype(lying[7:20].dtype))
    expected = scores.correlation_scores(array, array[3]), scores.nearest_scores(array, array[:5])
    monkeypatch.setattr(scores, "BLOCK", 7)
    np.testing.assert_allclose(scores.correlation_scores(lying, array[3]), expected[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(scores.nearest_scores(lying, array[:5]), expected[1], rtol=0, atol=1e-12)
    assert len(lying) == 50 and lying.shape == (50, 3, 4)


def test_a_value_that_is_not_finite_is_named_wherever_it_lies(tmp_path):
    folder = write_pool(tmp_path / "pool", 30, 3, 4)
    values = np.load(folder / "step-9.samples.npy")
    values[17, 2, 1] = np.nan
    np.save(folder / "step-9.samples.npy", values)
    stored = files.stored(files.about(folder, 9))
    assert stored[:17].shape == (17, 3, 4)
    with pytest.raises(ValueError, match="has a value that is not finite, at the sample p17, layer 2, head 1"):
        stored[10:20]


def prepared(tmp_path, name):
    path = write_lines(tmp_path / "rows.jsonl", 40, 50)
    with path.open("a") as file:
        file.writelines(path.read_text().splitlines(keepends=True)[:5])
    made = preparation.prepare(dataset="d", adapter="generic", train_files=[path], options=json.loads(OPTIONS),
                               probe_samples=7, seed=3)  # fmt: skip
    preparation.write(made, tmp_path / name)
    return made


def test_on_disk_or_in_memory_the_instructions_are_the_same(tmp_path, monkeypatch):
    whole = prepared(tmp_path, "whole")
    assert whole.report["splits"]["train"]["duplicates"] == 5
    monkeypatch.setattr(spool, "IN_MEMORY", 1)
    monkeypatch.setattr(preparation, "GROUP", 4)
    parts = prepared(tmp_path, "parts")
    assert parts.train == whole.train and parts.probe == whole.probe and parts.report == whole.report
    tables = [pyarrow.parquet.ParquetFile(tmp_path / name / "train.parquet") for name in ("whole", "parts")]
    assert [table.num_row_groups for table in tables] == [1, 9]
    assert tables[0].read().equals(tables[1].read())
    assert [one.prompt for one in parts.train[1:3]] == [one.prompt for one in list(whole.train)[1:3]]


def test_an_instruction_comes_back_from_the_spool_as_it_went_in():
    kept = spool.Spool()
    many = [Instruction(f"p\n{n}\u2028", "é\r\n\x00", f"i{n}", ("a",), ("x", ""), "é", f"g{n % 2}") for n in range(5)]
    entries = [kept.add(one) for one in many[:3]]
    assert [one.instruction() for one in entries[::-1]] == many[2::-1]
    entries += [kept.add(one) for one in many[3:]]
    assert spool.Stored(entries) == many and entries[4].prompt_key == many[4].prompt_key


def test_a_row_group_is_read_in_parts(tmp_path):
    rows = [{"id": str(number), "more": number} for number in range(2500)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    parts = list(parquet_batches(tmp_path / "rows.parquet", ["id"], 1000))
    assert [len(part) for part in parts] == [1000, 1000, 500]
    assert list(itertools.chain(*parts)) == [{"id": row["id"]} for row in rows]


def test_long_work_says_how_far_it_is(tmp_path, tokenizer_folder, monkeypatch, capfd):
    monkeypatch.setattr(progress, "NOTICE", 0)
    monkeypatch.setattr(command_line, "_terminal", None)  # another test may have left one
    monkeypatch.setattr(shards, "ROWS", 20)
    prepared(tmp_path, "made")
    given = {"model": tokenizer_folder, "instructions": tmp_path / "made" / "train.parquet", "max_length": 300}
    scripts.run("tokenize_instructions", output=tmp_path / "out", **given)
    said = capfd.readouterr().err
    assert re.search(r": d, read: 45 rows, [\d,]+ a second$", said, re.MULTILINE)
    assert re.search(r": d, written: 40 of 40 rows, [\d,]+ a second$", said, re.MULTILINE)
    assert re.search(r"train\.parquet, tokenized: 33 rows, [\d,]+ a second$", said, re.MULTILINE)


def test_splits_are_decided_with_little_more_than_the_rows(tmp_path):
    """There may be millions of rows. Copies of keys would take 212 bytes a row in the first check, 65 in the second."""
    rows, kept = 20_000, spool.Spool(tmp_path)
    entries = [kept.add(Instruction(f"p{number}", f"r{number}", f"i{number}")) for number in range(rows)]

    def bytes_a_row(decide, *given):
        tracemalloc.start()
        try:
            decide(*given)
            return tracemalloc.get_traced_memory()[1] / rows
        finally:
            tracemalloc.stop()

    assert bytes_a_row(splitting.deduplicate, entries) < 180
    assert bytes_a_row(splitting.check_disjoint, "d", entries[100:], entries[:100]) < 48
