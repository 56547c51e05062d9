"""Chats in the workflow: several turns, a given template, and the same tokens from training to evaluation."""

import csv
import json
from pathlib import Path

import pyarrow.parquet
import pytest
from project import snakemake

CHAT = ("--configfile", "tests/config/tiny.yaml", "tests/config/chat.yaml")
TASKS = ("refgpt", "gsm8k", "arc")


@pytest.fixture(scope="module")
def finished(clone, opencompass) -> Path:
    folder = clone("chat")
    done = snakemake(folder, "table1", "competence", "--cores", "2", *CHAT)
    assert done.returncode == 0, done.stdout
    return folder


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def loaded(finished, folder):
    from headpatterns.models import loading

    return loading.load_tokenizer(finished / folder)


def test_every_turn_of_the_assistant_has_its_loss(finished):
    import datasets

    results = finished / "results/chat"
    tokenizer = loaded(finished, "results/chat/templated/llama/tokenizer")
    table = pyarrow.parquet.read_table(results / "instructions/refgpt/train.parquet")
    rows = {row["id"]: json.loads(row["messages"]) for row in table.to_pylist()}
    for sample in datasets.load_from_disk(results / "tokenized/llama/refgpt/train"):
        messages = rows[sample["id"]]
        assert [message["role"] for message in messages] == ["user", "assistant"] * 2
        text = tokenizer.decode([label for label in sample["labels"] if label != -100])
        assert text == "".join(f"{message['content']}</s>" for message in messages[1::2])
        assert sample["input_ids"].count(tokenizer.bos_token_id) == 1


def test_checkpoints_keep_the_template(finished):
    template = (finished / "tests/config/chat.jinja").read_text()
    for task in TASKS:
        made = loaded(finished, f"results/chat/checkpoints/llama/chats.{task}.seed0/final")
        assert made.chat_template == template


def test_patterns_and_likelihoods_are_of_the_same_tokens(finished):
    results = finished / "results/chat"
    [file] = (results / "evaluations/llama").glob("*.items.csv")
    items = read_csv(file)
    for task in TASKS:
        about = json.loads((results / f"patterns/llama/chats.{task}.seed0/{task}/step-3.json").read_text())
        found = {row["id"]: row for row in items if (row["run"], row["set"]) == (f"chats.{task}.seed0", task)}
        assert set(about["ids"]) == set(found)
        for id, loss, tokens in zip(about["ids"], about["losses"], about["response_tokens"], strict=True):
            if task == "refgpt":  # only its last answer is the gold response
                assert 0 < int(found[id]["tokens"]) < tokens
                continue
            assert int(found[id]["tokens"]) == tokens
            assert float(found[id]["nll"]) / tokens == pytest.approx(loss, rel=1e-4)
    assert any(row["prediction"] for row in items if row["set"] == "gsm8k")  # generated after the chat's prompt
    assert all(row["likeliest"] in set("ABCDE") for row in items if row["set"] == "arc")


def test_a_sample_is_shown(finished):
    done = snakemake(finished, "show_sample", "--cores", "1", *CHAT, "--config", "show=llama/refgpt")
    assert done.returncode == 0, done.stdout
    [text] = [line for line in done.stdout.splitlines() if "tokens," in line and "with a loss" in line]
    assert text.startswith("sample refgpt")
    assert done.stdout.count("'</s>'") >= 2


def test_another_template_makes_tokens_again(finished):
    file = finished / "tests/config/chat.jinja"
    file.write_text(file.read_text().replace("###", "##"))
    done = snakemake(finished, "table1", "-n", *CHAT)
    assert "rule give_chat_template" in done.stdout and "rule tokenize_instructions" in done.stdout
    assert "rule prepare_instructions" not in done.stdout
