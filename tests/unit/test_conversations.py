"""Chat rows in the formats of Hub datasets and of LLaMA-Factory are read as whole conversations."""

import json
from pathlib import Path

import pyarrow.parquet
import pytest
from raw_rows import INFINITY, REFGPT
from refusals import refusal

from headpatterns.data import conversations, samples
from headpatterns.data.adapters import ADAPTERS, resolve_options
from headpatterns.data.preparation import prepare, write
from headpatterns.data.records import Row, RowError

WHOLE = [("system", "Be brief."), ("user", "Q"), ("assistant", "A"), ("user", "R"), ("assistant", " B\n")]


def convert(row, adapter="generic", **options):
    given = {"style": "chat", **options} if adapter == "generic" else options
    options = resolve_options(adapter, given, chat=True)
    return ADAPTERS[adapter].convert(Row(row, Path("rows.jsonl"), 1, "rows.jsonl:1"), options)


def said(row, adapter="generic", **options):
    return [(one["role"], one["content"]) for one in convert(row, adapter, **options).messages]


def messages(*spoken, **more):
    return {"messages": [{"role": role, "content": content} for role, content in spoken], **more}


def sharegpt(*spoken, **more):
    return {"conversations": [{"from": who, "value": what} for who, what in spoken], **more}


PART = [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (messages(*WHOLE), WHOLE),  # smoltalk
        (messages(*WHOLE, prompt="Q", prompt_id="1"), WHOLE),  # ultrachat
        (messages(*WHOLE, id="1", source="maths"), WHOLE),  # tulu
        (messages(("developer", PART), *WHOLE[1:]), WHOLE),
        (messages(*WHOLE, ("user", "unanswered")), WHOLE),
        (messages(("system", ""), *WHOLE[1:], system="Be brief."), WHOLE),
        (messages(*WHOLE, system="Be brief."), WHOLE),
        (messages(*WHOLE[1:]), WHOLE[1:]),
        (sharegpt(("system", "Be brief."), ("human", "Q"), ("gpt", "A"), ("human", "R"), ("gpt", " B\n")), WHOLE),
        (
            sharegpt(("human", "Q"), ("function_call", "{}"), ("observation", "4"), ("gpt", "A"), tools="[]"),
            [("user", "Q"), ("assistant", "{}"), ("tool", "4"), ("assistant", "A")],
        ),
        (
            {"messages": [{"role": "user", "content": "Q"},
                          {"role": "assistant", "content": "A", "reasoning_content": "Hm.", "tool_calls": None}]},
            [("user", "Q"), ("assistant", "<think>\nHm.\n</think>\n\nA")],
        ),
        ({"messages": json.dumps(messages(*WHOLE)["messages"])}, WHOLE),
    ],
)  # fmt: skip
def test_a_conversation_is_read_whole(row, wanted):
    assert said(row) == wanted
    one = convert(row)
    assert one.response == wanted[-1][1]
    if wanted is WHOLE:
        assert one.prompt == "Be brief.\n\nUser: Q\n\nAssistant: A\n\nUser: R"
    assert conversations.of(conversations.to_json(one.messages)) == one.messages


def test_the_first_exchange_alone_may_be_asked_for():
    assert said(messages(*WHOLE), turns="first") == WHOLE[:3]
    assert convert(messages(*WHOLE), turns="first").prompt == "Be brief.\n\nQ"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (messages(("user", "Q")), "conversation without a turn of the assistant"),
        (messages(), "conversation without a turn of the assistant"),
        (messages(*WHOLE[2:]), "begins with the assistant"),
        (messages(("user", "Q"), ("assistant", "")), "empty turn of assistant"),
        (messages(("user", "Q"), ("assistant", None), *WHOLE[3:]), "empty turn of assistant"),
        (messages(("user", " "), ("assistant", "A")), "empty turn of user"),
        (messages(("user", "Q"), ("user", "R"), ("assistant", "A")), r"turn 2 \(user\) follows a turn of user"),
        (messages(("user", "Q"), ("tool", "4"), ("assistant", "A")), r"turn 2 \(tool\) follows a turn of user"),
        (messages(*WHOLE[1:3], *WHOLE), "turn 3 is a system turn"),
        (messages(("user", "Q"), ("narrator", "A")), "turn 2 has the unknown role narrator"),
        (messages(*WHOLE, tools=[{"name": "sum"}]), "row with tools"),
        ({"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "tool_calls": [{"id": "1"}]}]},
         "a call of a tool that is not text"),
        (messages(("user", [{"type": "image", "image": "x"}]), ("assistant", "A")), "part that is not text"),
        ({"messages": "Q"}, "neither a list of turns nor the JSON"),
    ],
)  # fmt: skip
def test_a_conversation_that_is_left_out(row, reason):
    with pytest.raises(RowError, match=reason):
        convert(row)


def test_other_adapters_read_conversations_whole():
    turns = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}] * 2
    read = said({**INFINITY, "conversations": turns}, "infinity_instruct")
    assert [role for role, _ in read] == ["user", "assistant"] * 2
    tagged = [{"from": "gpt", "value": "Be brief."}, *turns]
    assert said({**INFINITY, "conversations": tagged}, "infinity_instruct")[:2] == [*WHOLE[:2]]
    assert [role for role, _ in said(REFGPT, "refgpt")] == ["user", "assistant"] * 2


def test_a_history_is_earlier_turns():
    row = {"instruction": "R", "input": "", "output": " B\n", "system": "Be brief.", "history": [["Q", "A"]]}
    assert said(row, style="alpaca") == WHOLE
    with pytest.raises(RowError, match="history is not a list of questions and answers"):
        said({**row, "history": ["Q"]}, style="alpaca")


def test_turns_are_for_chats():
    with refusal("turns", ("style chat", "leave it out")):
        resolve_options("generic", {"style": "alpaca", "turns": "all"})


def rows_file(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def prepared(path, most_rejected=None, **others):
    given = {"adapter": "generic", "options": {"style": "chat"}, **others}
    return prepare(dataset="chats", train_files=[path], template="chat", probe_samples=2, seed=0,
                   most_rejected=most_rejected, **given)  # fmt: skip


def test_conversations_are_split_and_stored_with_their_turns(tmp_path):
    rows = [messages(("user", f"Q{n % 9}"), ("assistant", "A"), ("user", "R"), ("assistant", "B")) for n in range(12)]
    rows.append(messages(("user", "Q0")))
    write(prepared(rows_file(tmp_path / "rows.jsonl", rows)), tmp_path / "out")
    splits = [tmp_path / f"out/{split}.parquet" for split in ("train", "probe")]
    train, probe = (pyarrow.parquet.read_table(path).to_pylist() for path in splits)
    assert (len(train), len(probe)) == (7, 2)
    for row in (*train, *probe):
        turns = json.loads(row["messages"])
        assert row["prompt"] == f"User: {turns[0]['content']}\n\nAssistant: A\n\nUser: R"
        assert [turn["content"] for turn in turns[1:]] == ["A", "R", row["response"]]
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["template"] == "chat"
    assert report["splits"]["train"]["rejected"] == {"conversation without a turn of the assistant": 1}
    assert samples.read(tmp_path / "out/probe.parquet")[0]["messages"] == conversations.of(probe[0]["messages"])


def test_other_rows_become_a_question_and_an_answer(tmp_path):
    rows = rows_file(tmp_path / "rows.jsonl", [{"q": f"Q{n}", "r": " A "} for n in range(5)])
    made = prepared(rows, options={"columns": {"prompt": "q", "response": "r"}})
    assert made.train[0].messages == conversations.exchange(made.train[0].prompt, " A ")


def test_how_many_may_be_left_out(tmp_path):
    sound = [messages(("user", f"Q{n}"), ("assistant", "A")) for n in range(6)]
    path = rows_file(tmp_path / "rows.jsonl", [*sound, *[messages(("user", "Q"), ("assistant", ""))] * 2])
    with refusal(f"{path}:7", ("empty turn of assistant", "datasets.chats.most_rejected")):
        prepared(path)
    assert prepared(path, 0.25).report["splits"]["train"]["rejected"] == {"empty turn of assistant": 2}


@pytest.mark.parametrize(
    ("row", "hint"),
    [
        (messages(("user", "Q")), "conversation without a turn of the assistant"),
        (messages(("user", "Q"), ("assistant", " ")), "empty turn of assistant"),
    ],
)
def test_files_of_ones_own_may_hold_conversations(tmp_path, row, hint):
    whole = {**sharegpt(("human", "Q"), ("gpt", "A")), "id": "one", "system": "Be brief."}
    read = samples.read(rows_file(tmp_path / "rows.jsonl", [whole]))
    assert [(one["id"], one["prompt"], one["response"]) for one in read] == [("one", "Be brief.\n\nQ", "A")]
    path = rows_file(tmp_path / "bad.jsonl", [whole, row])
    with refusal(f"{path}:2", (hint, "fix or remove it")):
        samples.read(path)
