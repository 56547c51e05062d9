"""Two checkpoints side by side: numbers, page, what is kept, and what is refused."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from refusals import refusal
from tiny_models import VOCABULARY, build

import headpatterns
from headpatterns import activation_patterns, compare
from headpatterns.comparison.pair import checkpoint
from headpatterns.models import loading as models
from headpatterns.statistics import gini


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def saved(model, tokenizer, folder):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pair(model_folder, tokenizer, tmp_path_factory):
    """The folders of the random Llama and of a copy with larger output projections."""
    model = models.load_model(model_folder)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight *= 1.5
    return model_folder, saved(model, tokenizer, tmp_path_factory.mktemp("other") / "other")


@pytest.fixture(scope="module")
def data(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return {"sums": written(folder / "sums.jsonl", rows), "few": written(folder / "few.jsonl", rows[:4])}


@pytest.fixture(scope="module")
def found(pair, data, tmp_path_factory):
    return compare(*pair, data, tmp_path_factory.mktemp("made") / "out", samples=8, threads=1, resamples=50)


def of(table, **wanted):
    rows = table
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    assert len(rows), wanted
    return rows


def test_levels_losses_and_statistics_are_those_of_the_patterns(found, pair, rows, data):
    listed = (found.patterns / "sums/samples.csv").read_text()
    chosen = [row for row in rows if f"sums,{row['id']}\n" in listed]
    assert len(chosen) == 8
    taken = [activation_patterns(models.load_model(one), chosen, tokenizer=models.load_tokenizer(one)) for one in pair]
    means = [one.mean.astype(float) for one in taken]
    for state, values in {"a": means[0], "b": means[1], "change": means[1] - means[0]}.items():
        heads = of(found.table, probe_set="sums", quantity="level_of_head", state=state)
        assert len(heads) == values.size
        for row in heads.itertuples():
            assert row.value == pytest.approx(values[row.layer, row.head], rel=1e-4, abs=1e-7)
            assert row.low <= row.value <= row.high
        layers = of(found.table, probe_set="sums", quantity="level_of_layer", state=state)
        assert layers["value"].to_numpy(float) == pytest.approx(values.mean(axis=1), rel=1e-4, abs=1e-7)
    losses = [one.losses.mean() for one in taken]
    for state, value in {"a": losses[0], "b": losses[1], "change": losses[1] - losses[0]}.items():
        row = of(found.table, probe_set="sums", quantity="loss", state=state).iloc[0]
        assert row["value"] == pytest.approx(value, rel=1e-5, abs=1e-6)
    plain = gini(means[1])
    row = of(found.table, probe_set="sums", quantity="gini", state="b").iloc[0]
    assert abs(row["value"] - plain) < 0.05
    assert row["low"] < plain < row["high"]
    row = of(found.table, probe_set="sums", quantity="pearson").iloc[0]
    assert row["low"] <= np.corrcoef(means[0].ravel(), means[1].ravel())[0, 1] <= row["high"]


def test_probe_sets_are_correlated_where_there_are_several(found):
    between = found.table[found.table["other"] != ""]
    assert set(between["state"]) == {"a", "b", "change_rate"}
    assert set(zip(between["probe_set"], between["other"], strict=True)) == {("sums", "few"), ("few", "sums")}


def test_the_page_shows_all_and_fetches_nothing(found):
    page = found.page.read_text()
    assert page.count("<img ") == page.count('src="data:image/svg+xml;base64,') == 3
    assert not re.search(r"<(link|script|iframe)", page)
    for word in ("sums", "few", "Heads that change most", "Loss (nats per token)", "8 samples of"):
        assert word in page
    assert found.csv.read_text().splitlines()[0] == "probe_set,other,quantity,state,layer,head,value,low,high"


def test_what_is_there_is_taken_and_only_what_changed_is_extracted_again(pair, data, tmp_path):
    def times(folder):
        return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*.npy")}

    out, options = tmp_path / "out", {"samples": 6, "threads": 1, "resamples": 20}
    first = compare(*pair, data["sums"], out, **options)
    before, table = times(out), first.csv.read_bytes()
    assert compare(*pair, data["sums"], out, **options).csv.read_bytes() == table
    assert times(out) == before
    compare(*pair, data["sums"], out, **{**options, "samples": 5})
    assert all(now != before[path] for path, now in times(out).items())


def test_a_name_of_an_experiment_stands_for_its_folder(tmp_path):
    (tmp_path / "results").mkdir()
    with refusal(str(tmp_path / "results"), "config.yaml"):
        checkpoint("llama", tmp_path / "results", tmp_path)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"num_hidden_layers": 2}, ("3 layers", "2 layers")),
        ({"num_attention_heads": 3, "num_key_value_heads": 1}, ("6 query heads", "3 query heads")),
    ],
)
def test_other_heads_are_refused_before_anything_is_loaded(pair, data, tokenizer, tmp_path, other, words):
    model = build("llama-grouped-query", vocab_size=VOCABULARY, max_position_embeddings=256, **other)
    folder = saved(model, tokenizer, tmp_path / "unlike")
    with refusal(str(folder), (*words, "do not correspond")):
        compare(pair[0], folder, data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_architecture_is_refused(pair, data, tokenizer, tmp_path):
    folder = saved(build("qwen3", vocab_size=VOCABULARY), tokenizer, tmp_path / "qwen")
    with refusal(str(folder), ("architecture llama", "architecture qwen3")):
        compare(pair[0], folder, data, tmp_path / "out")


def test_another_tokenizer_is_refused_with_the_sample(pair, data, tmp_path):
    folder = shutil.copytree(pair[1], tmp_path / "retokenized")
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["merges"] = content["model"]["merges"][:10]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with refusal(str(folder), ("sum-", "different tokens")):
        compare(pair[0], folder, data["few"], tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.npy"))


def test_the_same_model_and_a_single_row_are_refused(pair, data, rows, tmp_path):
    with refusal(str(pair[0]), "give two"):
        compare(pair[0], pair[0], data, tmp_path / "out")
    single = written(tmp_path / "one.jsonl", rows[:1])
    with refusal(str(single), "give two or more"):
        compare(*pair, single, tmp_path / "out")
    with refusal("nowhere", ("neither a folder", "--experiment")):
        compare("nowhere", pair[0], data, tmp_path / "out")
    with refusal("a/b", "without /"):
        compare(*pair, {"a/b": single}, tmp_path / "out")


def command(*words):
    return subprocess.run(
        [sys.executable, "-m", "headpatterns.command", *map(str, words)], capture_output=True, text=True
    )


@pytest.mark.slow
def test_the_command_prints_numbers_as_json_and_sentences_for_mistakes(pair, data, tmp_path):
    options = ("--data", f"some={data['few']}", "--output", tmp_path / "out", "--threads", 1, "--resamples", 20)
    answer = command("compare", *pair, *options, "--json")
    assert answer.returncode == 0, answer.stderr
    numbers = json.loads(answer.stdout)
    loss = next(one for one in numbers if one["quantity"] == "loss" and one["state"] == "a")
    assert loss["probe_set"] == "some"
    assert loss["low"] <= loss["value"] <= loss["high"]
    answer = command("compare", *pair, "--data", data["few"], data["few"])
    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr
    assert "--data names few twice" in answer.stderr.splitlines()[-1]


def test_names_of_the_package_are_found_without_their_rooms():
    assert {"compare", "Comparison", *headpatterns.__all__} <= set(dir(headpatterns))
    loaded = "import sys, headpatterns; print('torch' in sys.modules, 'pandas' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]
