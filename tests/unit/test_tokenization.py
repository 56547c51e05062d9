"""Tokens, labels and shards, compared with the tokens that the tokenizer gives for each part."""

import csv
import json
import re
import subprocess
import sys

import datasets
import pyarrow
import pyarrow.parquet
import pytest
import scripts
from tokenizers import processors
from transformers import AutoTokenizer

from headpatterns.data.shards import Shards
from headpatterns.data.tokens import IGNORED, TokenizedSample, tokenize, tokenize_all, tokenize_stream
from headpatterns.errors import InputError
from headpatterns.models import loading as models

PROMPT, RESPONSE = "Question: 3 cats?\nAnswer:", " Four, I think."


def plain(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def write_instructions(path, rows):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_prompt_response_and_eos(tokenizer):
    sample = tokenize(tokenizer, "a", PROMPT, RESPONSE, 1000)
    prompt, response = plain(tokenizer, PROMPT), plain(tokenizer, RESPONSE)
    assert sample.input_ids == [tokenizer.bos_token_id, *prompt, *response, tokenizer.eos_token_id]
    assert sample.labels == [IGNORED] * (1 + len(prompt)) + [*response, tokenizer.eos_token_id]
    assert sample.response_start == 1 + len(prompt)
    assert sample.response_tokens == len(response) + 1
    assert not sample.truncated
    assert tokenizer.decode(sample.input_ids[1:-1]) == PROMPT + RESPONSE


@pytest.fixture
def closing(tokenizer_folder):
    """The tokenizer with a template that closes every text with EOS, as some instruct tokenizers do."""
    tokenizer = models.load_tokenizer(tokenizer_folder)
    bos, eos = tokenizer.bos_token, tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}", special_tokens=[(bos, tokenizer.bos_token_id), (eos, tokenizer.eos_token_id)]
    )
    assert tokenizer("x")["input_ids"][-1] == tokenizer.eos_token_id
    return tokenizer


@pytest.mark.parametrize("prompt", [PROMPT, "x", ""])
def test_the_eos_of_a_prompt_is_removed(tokenizer, closing, prompt):
    assert tokenize(closing, "a", prompt, RESPONSE, 1000) == tokenize(tokenizer, "a", prompt, RESPONSE, 1000)


def test_one_token_for_bos_and_eos(tokenizer_folder):
    """In OPT's tokenizer, an empty prompt is only the BOS, which must not be removed as an EOS."""
    tokenizer = models.load_tokenizer(tokenizer_folder)
    tokenizer.eos_token = tokenizer.bos_token
    sample = tokenize(tokenizer, "a", "", RESPONSE, 1000)
    assert sample.input_ids[0] == tokenizer.bos_token_id and sample.response_start == 1


def test_cut_at_the_maximum_length(tokenizer):
    whole = tokenize(tokenizer, "a", PROMPT, RESPONSE, 1000)
    start, length = whole.response_start, len(whole.input_ids)
    assert not tokenize(tokenizer, "a", PROMPT, RESPONSE, length).truncated
    for limit in range(1, length):
        cut = tokenize(tokenizer, "a", PROMPT, RESPONSE, limit)
        assert cut.input_ids == whole.input_ids[:limit]
        assert cut.labels == whole.labels[:limit]
        assert cut.truncated
        assert cut.response_tokens == max(0, limit - start)


def test_a_first_token_carries_no_loss():
    assert TokenizedSample("a", [5, 6, 7], 0, False).response_tokens == 2
    assert TokenizedSample("a", [5, 6, 7], 0, False).labels == [5, 6, 7]


def write_shards(batches, folder, name=None, **size):
    shards = Shards(folder, **size)
    for samples in batches:
        shards.add(samples)
    shards.close(name)


def test_shards_load_and_equal_samples_give_equal_bytes(tokenizer, rows, tmp_path):
    samples = [tokenize(tokenizer, row["id"], row["prompt"], row["response"], 256) for row in rows]
    for folder in ("one", "two"):
        write_shards([samples], tmp_path / folder)
    loaded = datasets.load_from_disk(tmp_path / "one")
    assert loaded["id"][:] == [sample.id for sample in samples]
    assert loaded["input_ids"][:] == [sample.input_ids for sample in samples]
    assert loaded["labels"][:] == [sample.labels for sample in samples]
    assert scripts.contents(tmp_path / "one") == scripts.contents(tmp_path / "two")


def test_shards_are_as_the_datasets_library_saves_them(tmp_path):
    samples = [TokenizedSample(f"s{n}", [n % 300] * 40, 1, False) for n in range(200)]
    write_shards([samples[:70], [], samples[70:]], tmp_path / "ours", name="fingerprint")
    loaded = datasets.load_from_disk(tmp_path / "ours")
    datasets.Dataset(loaded.data, fingerprint="fingerprint").save_to_disk(tmp_path / "theirs")
    for name in ("state.json", "dataset_info.json"):
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()
    tables = [pyarrow.ipc.open_stream(path).read_all() for path in tmp_path.glob("*/*.arrow")]
    assert len(tables) == 2 and tables[0].equals(tables[1], check_metadata=True)


def test_many_shards_keep_the_order(tmp_path):
    samples = [TokenizedSample(f"s{n}", [n % 300] * 400, 1, False) for n in range(200)]
    write_shards([samples[n : n + 20] for n in range(0, 200, 20)], tmp_path / "many", shard_bytes=100_000)
    assert len(list((tmp_path / "many").glob("*.arrow"))) > 2
    assert datasets.load_from_disk(tmp_path / "many")["id"][:] == [sample.id for sample in samples]


def test_batches_give_what_all_rows_give_at_once(tokenizer, rows):
    batches = [rows[n : n + 2] for n in range(0, len(rows), 2)]
    streamed = [sample for samples in tokenize_stream(tokenizer, batches, 40) for sample in samples]
    assert len(batches) > 4 and streamed == tokenize_all(tokenizer, rows, 40)


def test_script_counts_what_it_cuts_and_drops(tokenizer, tokenizer_folder, rows, tmp_path):
    whole = [tokenize(tokenizer, row["id"], row["prompt"], row["response"], 1000) for row in rows]
    limit = sorted(sample.response_start for sample in whole)[len(whole) // 2]
    kept = [sample for sample in whole if sample.response_start < limit]
    assert 0 < len(kept) < len(whole)
    instructions = write_instructions(tmp_path / "train.parquet", rows)
    for folder in ("one", "two"):
        scripts.run(
            "tokenize_instructions",
            model=tokenizer_folder,
            instructions=instructions,
            max_length=limit,
            output=tmp_path / folder,
        )
    report = json.loads((tmp_path / "one" / "report.json").read_text())
    assert report == {
        "samples": len(whole),
        "kept": len(kept),
        "dropped": len(whole) - len(kept),
        "truncated": sum(len(sample.input_ids) > limit for sample in kept),
        "straddling": 0,
        "tokens": sum(min(limit, len(sample.input_ids)) for sample in kept),
        "response_tokens": sum(min(limit, len(sample.input_ids)) - sample.response_start for sample in kept),
        "max_length": limit,
    }
    assert report["truncated"] > 0
    with (tmp_path / "one" / "samples.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["id"] for line in lines] == [sample.id for sample in kept]
    assert sum(int(line["tokens"]) for line in lines) == report["tokens"]
    assert datasets.load_from_disk(tmp_path / "one")["id"][:] == [sample.id for sample in kept]
    assert scripts.contents(tmp_path / "one") == scripts.contents(tmp_path / "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "train.parquet", "two"]


def test_script_counts_the_tokens_that_straddle_the_seam(tokenizer_folder, tmp_path):
    """` is` is one token of the tokenizer; the last of these rows is dropped."""
    texts = [("It", " is so"), ("It i", "s so"), ("It i", "s to"), ("It is so to the Then i", "s so")]
    rows = [{"id": f"r{n}", "prompt": prompt, "response": response} for n, (prompt, response) in enumerate(texts)]
    instructions = write_instructions(tmp_path / "train.parquet", rows)
    scripts.run(
        "tokenize_instructions",
        model=tokenizer_folder,
        instructions=instructions,
        max_length=7,
        output=tmp_path / "out",
    )
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["kept"], report["dropped"], report["straddling"]) == (3, 1, 2)
    labels = datasets.load_from_disk(tmp_path / "out")["labels"][:]
    assert labels[0] == labels[1]


def test_the_name_of_shards_follows_their_content(tokenizer_folder, rows, tmp_path):
    """From the name, fine-tuning knows whether an interrupted run read the same tokens."""

    def named(rows, max_length):
        scripts.run(
            "tokenize_instructions",
            model=tokenizer_folder,
            max_length=max_length,
            instructions=write_instructions(tmp_path / "rows.parquet", rows),
            output=tmp_path / "out",
        )
        return (tmp_path / "out" / "state.json").read_text()

    names = {named(rows, 256), named(rows, 33), named(rows[::-1], 256), named([{**rows[0], "response": "No."}], 256)}
    assert len(names) == 4
    assert named(rows, 256) in names


def test_script_refuses_when_nothing_is_left(tokenizer_folder, rows, tmp_path):
    instructions = write_instructions(tmp_path / "train.parquet", rows)
    with pytest.raises(InputError, match=rf"every sample of {re.escape(str(instructions))} was dropped.*max_length"):
        scripts.run(
            "tokenize_instructions",
            model=tokenizer_folder,
            instructions=instructions,
            max_length=3,
            output=tmp_path / "out",
        )
    assert [path.name for path in tmp_path.iterdir()] == ["train.parquet"]


@pytest.mark.slow
def test_training_a_tokenizer_gives_the_same_bytes_in_every_process(corpus, tokenizer_folder, tmp_path):
    done = scripts.launch(
        "train_tokenizer", tmp_path / "home", corpus=corpus, vocabulary=320, output=tmp_path / "again"
    )
    assert done.returncode == 0, done.stderr
    assert scripts.contents(tmp_path / "again") == scripts.contents(tokenizer_folder)
    assert not list((tmp_path / "home").iterdir())


def test_the_tokenizer_knows_any_text(tokenizer):
    text = "naïve 12345 \t 数学题 😀\u0000 <b>"
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(ids[1:]) == text
    assert len(plain(tokenizer, "12345")) == 5


def test_a_tokenizer_that_stands_alone_is_the_same_without_torch(tokenizer_folder):
    loaded = models.load_tokenizer(tokenizer_folder)
    automatic = AutoTokenizer.from_pretrained(tokenizer_folder, local_files_only=True)
    assert type(loaded) is type(automatic) and loaded.init_kwargs == automatic.init_kwargs
    assert loaded.backend_tokenizer.to_str() == automatic.backend_tokenizer.to_str()
    program = "import sys; from headpatterns.models import loading; loading.load_tokenizer(sys.argv[1]); " + (
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program, tokenizer_folder]).returncode == 0


def test_a_tokenizer_without_eos_is_refused(tokenizer_folder, tmp_path):
    tokenizer = models.load_tokenizer(tokenizer_folder)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path / "t")
    with pytest.raises(InputError, match="has no EOS token"):
        models.load_tokenizer(tmp_path / "t")


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(InputError, match=f"{re.escape(str(tmp_path))} has no tokenizer"):
        models.load_tokenizer(tmp_path)


@pytest.mark.parametrize("content", ["{", "{}"])
def test_a_broken_tokenizer_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(InputError, match=f"no tokenizer can be loaded from {re.escape(str(tmp_path))}: .+"):
        models.load_tokenizer(tmp_path)
