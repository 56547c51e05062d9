"""Training, extraction and evaluation read a conversation as the same tokens, with the template of the model."""

import json
import shutil

import pytest
import torch
from chat_formats import ANSWER, CONVERSATION, FORMATS, LAST, tokenizer
from experiments import checked, config_of
from refusals import assert_refusal, refusal
from tiny_models import build

from headpatterns.attribution import inputs
from headpatterns.attribution.passes import pad
from headpatterns.data import chat, chat_files, conversations, samples, shards
from headpatterns.data.tokens import IGNORED, tokenize, tokenize_instructions
from headpatterns.errors import InputError
from headpatterns.evaluation import likelihoods, sequences, sets
from headpatterns.evaluation.harness import PromptEncoder
from headpatterns.models import loading
from headpatterns.models.chat_templates import FILE, give

MESSAGES = conversations.whole(list(CONVERSATION))


@pytest.fixture
def folder(tmp_path):
    """The folder of a model whose tokenizer has the ChatML template."""
    place = tmp_path / "model"
    made = tokenizer(FORMATS["qwen2.5"])
    build("llama", vocab_size=len(made), max_position_embeddings=256).save_pretrained(place)
    made.save_pretrained(place)
    return place


def instructions(path, rows):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def row(messages, id="one", **more):
    prompt, response = conversations.as_text(messages)
    return {"id": id, "prompt": prompt, "response": response, "tags": [], "choices": [], "answer": "",
            "messages": conversations.to_json(messages), **more}  # fmt: skip


def options(*contents):
    return [f"{letter}. {content}" for letter, content in zip("AB", contents, strict=True)]


@pytest.mark.parametrize("name", ["qwen2.5", "llama-2", "mistral-v3", "gemma", "vicuna"])
@pytest.mark.parametrize("turns", [2, 4])
def test_all_three_read_the_same_tokens(tmp_path, name, turns):
    """The conversation has one question, or several turns."""
    made, messages = tokenizer(FORMATS[name]), MESSAGES[1 : 1 + turns]
    file = instructions(tmp_path / "rows.parquet", [row(messages, answer="7")])
    folder = tmp_path / "tokenizer"
    made.save_pretrained(folder)
    tokenize_instructions(folder, file, 1000, tmp_path / "shards")
    import datasets

    [trained] = datasets.load_from_disk(tmp_path / "shards")
    [probed], _ = samples.tokenized(made, samples.read(file), 1000, file, skip=False)
    assert (probed.input_ids, probed.labels) == (trained["input_ids"], trained["labels"])
    assert inputs.samples([{"messages": list(messages)}], made)[0].labels == trained["labels"]
    [item] = sets.read(file)
    [asked] = PromptEncoder(made, None, chat=True)([item.asked_as_text])["input_ids"].tolist()
    own = [place for place, label in enumerate(trained["labels"]) if label != IGNORED]
    last = own[-1] - next(n for n, place in enumerate(reversed(own)) if place - 1 not in own)
    assert asked == trained["input_ids"][:last]
    [texts] = sequences.tokenized(made, "set", sets.EvaluationSet([item]), None)
    assert texts.gold.start == last
    assert texts.gold.ids.tolist() == trained["input_ids"][: own[-1] + 1]


def test_options_are_judged_without_what_ends_the_turn(tmp_path):
    made = tokenizer(FORMATS["qwen2.5"])
    said = options(ANSWER, LAST)
    messages = conversations.exchange("Which?", said[1])
    file = instructions(tmp_path / "rows.parquet", [row(messages, choices=[ANSWER, LAST], answer="B")])
    [item] = sets.read(file)
    assert item.options == tuple(said)
    [texts] = sequences.tokenized(made, "set", sets.EvaluationSet([item]), None)
    for text, option in zip(texts.options, said, strict=True):
        assert made.decode(text.ids[text.start :]) == option
    assert made.decode(texts.gold.ids[texts.gold.start :]) == f"{said[1]}<|im_end|>"


def test_shots_are_earlier_turns(tmp_path):
    made = tokenizer(FORMATS["qwen2.5"])
    file = instructions(tmp_path / "rows.parquet", [row(MESSAGES[:3], answer="4")])
    examples = instructions(tmp_path / "train.parquet", [row(MESSAGES[:1] + MESSAGES[3:])])
    asked = sets.Asked(given=[("set", str(file))], shots=1, examples={"set": examples})
    found = sets.read_all(asked)["set"]
    encoder = PromptEncoder(made, None, found.examples, chat=found.chat)
    [ids] = encoder([found.items[0].asked_as_text])["input_ids"].tolist()
    wanted = (MESSAGES[0], *MESSAGES[3:], MESSAGES[1])
    assert made.decode(ids) == made.apply_chat_template(list(wanted), tokenize=False, add_generation_prompt=True)
    [texts] = sequences.tokenized(made, "set", found, None)
    assert texts.gold.ids[: texts.gold.start].tolist() == ids
    short = sequences.tokenized(made, "set", found, len(ids) + 2)[0]
    assert short.shortened and short.gold.start < texts.gold.start


def test_the_loss_of_a_conversation_is_the_mean_over_all_its_turns(folder):
    """The losses of the pattern passes and the likelihood of the last answer agree with the logits of the model."""
    from headpatterns import activation_patterns

    made, model = loading.load_tokenizer(folder), loading.load_model(folder)
    sample = tokenize(made, "one", "", "", 1000, messages=MESSAGES)
    found = activation_patterns(model, [{"messages": list(MESSAGES)}], tokenizer=made)
    with torch.no_grad():
        logits = model(torch.tensor([sample.input_ids])).logits[0].log_softmax(dim=-1)
    nlls = [-logits[place - 1, label].item() for place, label in enumerate(sample.labels) if label != IGNORED]
    assert found.losses[0] == pytest.approx(sum(nlls) / len(nlls), rel=1e-5)
    assert pad([sample], torch.device("cpu"))[2].tolist() == [sample.labels]
    item = sets.Item("one", "", "", (), LAST, turns=MESSAGES[:-1])
    texts = sequences.tokenized(made, "set", sets.EvaluationSet([item], lenient=True), None)
    [likelihood] = likelihoods.of_items(model, "set", texts, 1000)
    last = sample.turns[-1][1] - sample.turns[-1][0]
    assert (likelihood.nll, likelihood.tokens) == (pytest.approx(sum(nlls[-last:]), rel=1e-4), last)


def test_shards_of_other_labels_have_another_name(tmp_path):
    made = tokenizer(FORMATS["qwen2.5"])
    sample = tokenize(made, "one", "", "", 1000, messages=MESSAGES)
    names = []
    for number, turns in enumerate((sample.turns, sample.turns[-1:])):
        written = shards.Shards(tmp_path / str(number))
        written.add([type(sample)(sample.id, sample.input_ids, sample.response_start, False, False, turns)])
        written.close()
        names.append(json.loads((tmp_path / str(number) / "state.json").read_text())["_fingerprint"])
    assert names[0] != names[1]


def test_a_model_is_given_another_template(folder, tmp_path):
    file = tmp_path / "template.jinja"
    file.write_text(FORMATS["llama-3"].written().replace("<|eot_id|>", "<|im_end|>"))
    give(folder, file, tmp_path / "given")
    made = loading.load_tokenizer(tmp_path / "given")
    assert made.chat_template == file.read_text()
    weights = tmp_path / "given/model.safetensors"
    assert weights.is_symlink() and weights.read_bytes() == (folder / "model.safetensors").read_bytes()
    assert loading.load_model(tmp_path / "given").num_parameters() == loading.load_model(folder).num_parameters()
    give(folder, tmp_path / "given", tmp_path / "lent")
    assert (tmp_path / "lent" / FILE).read_text() == file.read_text()


@pytest.mark.parametrize(
    ("written", "hint"),
    [("", "is empty"), ("{% if %}", "is not valid"), ("{{ messages[0].content }}", "turn 2"), (b"\xff", "not UTF-8")],
)
def test_a_template_that_cannot_be_given(folder, tmp_path, written, hint):
    file = tmp_path / "template.jinja"
    file.write_bytes(written if isinstance(written, bytes) else written.encode())
    with refusal(str(file) if hint in ("is empty", "not UTF-8") else "chat template", hint):
        give(folder, file, tmp_path / "given")
    assert not (tmp_path / "given").exists()


def test_a_model_without_a_template_lends_none(folder, tmp_path):
    (folder / FILE).unlink()
    with refusal(str(folder), "has no chat template"):
        give(folder, folder, tmp_path / "given")


def test_of_templates_with_names_the_default_prints_and_is_lent(folder, tmp_path):
    """transformers also takes the default if neither tools nor documents are given."""
    made = loading.load_tokenizer(folder)
    default, several = made.chat_template, tmp_path / "several"
    made.chat_template = {"default": default, "rag": "{{ 1 / 0 }}"}
    made.save_pretrained(several)
    assert chat.printed(loading.load_tokenizer(several), "one", MESSAGES) == made.apply_chat_template(
        MESSAGES, tokenize=False
    )
    give(folder, several, tmp_path / "given")
    assert loading.load_tokenizer(tmp_path / "given").chat_template == default
    (several / FILE).unlink()
    assert chat_files.names(several) == ["rag"]
    hints = ("has only named chat templates (rag) and no default", "the default to chat_template.jinja")
    with refusal(str(several), hints):
        chat.printed(loading.load_tokenizer(several), "one", MESSAGES)
    with refusal(str(several), hints):
        give(folder, several, tmp_path / "again")
    assert chat_files.problem(several, "none") == str(chat_files.no_default(several, ["rag"]))


def test_templates_in_the_settings_are_found_as_well(tmp_path):
    """Older versions of transformers store one template, or several by name, in tokenizer_config.json."""
    place = tmp_path / "tokenizer_config.json"
    several = [{"name": "default", "template": "x"}, {"name": "rag", "template": "y"}]
    for stated, names in (("{{ x }}", ["default"]), (None, []), (several, ["default", "rag"])):
        place.write_text(json.dumps({"chat_template": stated}))
        assert chat_files.names(tmp_path) == names
    place.write_text("[]")
    assert str(place) in chat_files.problem(tmp_path, "none")


def own_model(base, **more):
    """The error for a config with chat prompts in which the Llama is your own model; empty without an error."""
    config = config_of({"prompt_template": "chat", **more})
    config["tokenization"]["max_length"] = config["pretraining_recipe"]["block_size"]
    for name in ("gemma", "opt"):
        config["models"][name]["chat_template"] = __file__
    config["models"]["llama"] |= {"source": {"path": str(base)}} | more.get("models", {}).get("llama", {})
    try:
        checked(config)
    except InputError as error:
        return str(error)
    return ""


def test_a_model_of_your_own_without_a_template_is_refused_from_the_config(folder):
    """The sentence is that of the job that would print the first conversation."""
    sft = {"finetuned": {"sft": {"label": "SFT", "base": "llama", "source": {"path": "/given/sft"}}}}
    assert "chat template" not in own_model(folder, **sft)
    (folder / FILE).unlink()
    made = loading.load_tokenizer(folder)
    with pytest.raises(InputError) as refused:
        chat.printed(made, "one", MESSAGES)
    assert f"models.llama: {refused.value}" in own_model(folder, **sft)
    assert_refusal(str(refused.value), str(folder), "has no chat template, as is usual for base models")


def test_the_base_of_a_run_elsewhere_needs_no_template_where_nothing_prints_with_it(folder, tmp_path):
    """A model that continues from the run uses the tokenizer of the run, so that one is checked instead."""
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    (folder / FILE).unlink()
    models = {"after": {"label": "After", "source": {"model": "llama", "run": "finetuned.sft"}}}
    sft = {"sft": {"label": "SFT", "base": "llama", "source": {"path": str(run)}}}
    studies = {study: {"models": ["after"]} for study in ("adaptation", "composition")}
    studies["dynamics"] = {"models": ["after"], "changes_most": "after"}
    studies |= {study: {"models": []} for study in ("mixing", "selection", "validity", "head_scores", "trained_heads")}
    studies |= {"benchmarks": {"checkpoints": [], "sets": []}}
    assert own_model(folder, models=models, finetuned=sft, studies=studies) == ""
    (run / FILE).unlink()
    said = own_model(folder, models=models, finetuned=sft, studies=studies)
    assert f"finetuned.sft: the tokenizer in {run} has no chat template" in said and "models.llama" not in said


def test_what_lends_no_template_is_refused_from_the_config(folder, tmp_path):
    """An adapter without a tokenizer, or without a template in it, gives the same sentence as the job would."""
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    lent = {"finetuned": {"sft": {"label": "SFT", "base": "llama", "source": {"lora": {"path": str(adapter)}}}},
            "models": {"llama": {"chat_template": "sft"}}}  # fmt: skip
    for file in (None, FILE):
        if file:
            loading.load_tokenizer(folder).save_pretrained(adapter)
            (adapter / file).unlink()
        with pytest.raises(InputError) as refused:
            give(folder, adapter, tmp_path / "given")
        assert f"models.llama.chat_template: {refused.value}" in own_model(folder, **lent)
    loading.load_tokenizer(folder).save_pretrained(adapter)
    assert "chat template" not in own_model(folder, **lent)


@pytest.mark.parametrize(
    ("overlay", "key", "hint"),
    [
        ({}, "prompt_template", "models.llama.chat_template"),
        ({"models": {"llama": {"chat_template": "gemma"}}}, "models.llama.chat_template", "no chat template"),
        (
            {"models": {"late": {"label": "Late", "source": {"model": "llama", "run": "nlp.arc.seed0"},
                                 "chat_template": "x.jinja"}}},
            "models.late.chat_template", "give it to llama",
        ),
        (
            {"models": {"late": {"label": "Late", "source": {"model": "llama", "run": "finetuned.sft"},
                                 "chat_template": "x.jinja"}},
             "finetuned": {"sft": {"label": "SFT", "base": "llama", "source": {"path": "/given/sft"}}}},
            "models.late.chat_template", "put it into the folder of that run",
        ),
        ({"datasets": {"arc": {"most_rejected": 2}}}, "datasets.arc.most_rejected", "1"),
    ],
)  # fmt: skip
def test_configs_that_cannot_be_chats(overlay, key, hint):
    with pytest.raises(InputError) as refused:
        checked(config_of({"prompt_template": "chat", **overlay}))
    assert any(key in line and hint in line for line in str(refused.value).splitlines())
