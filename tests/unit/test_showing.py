"""A sample shown token by token."""

import json

import pytest
import scripts
from experiments import experiment_of
from refusals import refusal

from headpatterns.data import showing
from headpatterns.data.sample import show_sample
from headpatterns.data.tokens import tokenize
from headpatterns.experiment import shown


def test_every_token_stands_there_with_its_id_and_label(tokenizer):
    sample = tokenize(tokenizer, "one", "What is 2 + 2?\nAnswer:", " Four.", 100)
    heading, _, *rest = showing.shown(tokenizer, sample, colour=False).splitlines()
    assert heading == f"sample one: {len(sample.input_ids)} tokens, {sample.response_tokens} with a loss"
    header = next(place for place, line in enumerate(rest) if line.split() == ["place", "id", "label", "token"])
    text, lines = "\n".join(rest[: header - 1]), rest[header + 1 :]
    rows = [line.split(maxsplit=3) for line in lines]
    assert [int(row[1]) for row in rows] == sample.input_ids
    assert [int(row[2]) for row in rows] == sample.labels
    pieces = [eval(row[3]) for row in rows]  # a repr of text
    assert "".join(pieces) == tokenizer.decode(sample.input_ids, clean_up_tokenization_spaces=False)
    lossy = [piece for piece, label in zip(pieces, sample.labels, strict=True) if label != -100]
    assert text.count("⟨") == len(lossy) == sample.response_tokens
    assert "".join(f"⟨{piece}⟩" for piece in lossy) in text


def test_colours_tell_special_tokens_and_losses_apart(tokenizer):
    sample = tokenize(tokenizer, "one", "Question:", " yes", 100)
    text = showing.shown(tokenizer, sample, colour=True)
    assert f"{showing.SPECIAL}{tokenizer.eos_token}{showing.END}" in text
    assert f"{showing.WITHOUT_LOSS}Q{showing.END}" in text
    assert "⟨" not in text


def test_a_sample_is_found_by_its_id_and_cut(tokenizer_folder, tmp_path, rows):
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert show_sample(tokenizer_folder, data, "sum-5").startswith("sample sum-5: ")
    assert "cut at the maximum length" in show_sample(tokenizer_folder, data, max_length=12).splitlines()[0]
    with refusal(str(data), ("'sum-99'", "'sum-1'")):
        show_sample(tokenizer_folder, data, "sum-99")


def test_the_script_prints_it(tokenizer_folder, tmp_path, rows, capsys):
    data = tmp_path / "rows.jsonl"
    data.write_text(json.dumps(rows[0]) + "\n")
    scripts.run("show_sample", model=tokenizer_folder, data=data)
    assert capsys.readouterr().out.startswith("sample sum-1: ")


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        ("", ("embedded", "math", "train", None)),
        ("gemma/arc", ("embedded", "arc", "train", None)),
        ("llama/arc/probe", ("embedded", "arc", "probe", None)),
        ("llama/arc/probe/a/b", ("embedded", "arc", "probe", "a/b")),
    ],
)
def test_a_config_names_model_dataset_split_and_sample(named, wanted):
    assert shown.asked(experiment_of(), named) == shown.Shown(*wanted)


@pytest.mark.parametrize(
    ("named", "hint"),
    [
        ("llama", "MODEL/DATASET"),
        ("lama/arc", "did you mean 'llama'?"),
        ("llama/ark", "did you mean 'arc'?"),
        ("llama/arc/test", "train"),
    ],
)
def test_what_a_config_names_wrongly_is_said(named, hint):
    with refusal(f"show={named}", hint):
        shown.asked(experiment_of(), named)
