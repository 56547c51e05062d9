"""Likelihoods of responses, compared with plain transformers on one text at a time and with OpenCompass."""

import json
import os
import subprocess

import numpy as np
import pytest
import scripts
import torch
from tiny_models import VOCABULARY, build
from transformers import AutoModelForCausalLM, AutoTokenizer, Phi3Config

from headpatterns.errors import InputError
from headpatterns.evaluation import likelihoods, sequences
from headpatterns.evaluation.likelihoods import Likelihood
from headpatterns.evaluation.sequences import Text, Texts
from headpatterns.evaluation.sets import EvaluationSet, Item
from headpatterns.models import loading as models

TOOLS = ("a clock", "ruler", "the old thermometer of the lake", "scale")


def choice(number, form="{letter}. {text}", gold="C"):
    options = tuple(form.format(letter=letter, text=text) for letter, text in zip("ABCD", TOOLS, strict=True))
    prompt = f"Question: Which tool is number {number}{' and so on' * (number % 3)}?\nAnswer: "
    return Item(f"tool-{number}", prompt, gold, TOOLS, options["ABCD".index(gold)], options)


def sums(count=5):
    return [Item(f"sum-{n}", f"Question: {n} + {n}?\nAnswer: ", str(n + n), (), f"{n} and {n}.\n#### {n + n}")
            for n in range(count)]  # fmt: skip


def plain(model, tokenizer, prompt, response, end):
    """Sum of -log p over the response, and its number of tokens, for one text alone: no padding, all logits."""
    before = tokenizer(prompt.rstrip(" "))["input_ids"]
    ids = tokenizer(prompt + response)["input_ids"] + [tokenizer.eos_token_id] * end
    assert ids[: len(before)] == before
    with torch.no_grad():
        logs = model(torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
    places = range(len(before), len(ids))
    return -sum(logs[place - 1, ids[place]].item() for place in places), len(places)


def taken(model, tokenizer, items, token_budget=10_000, **more):
    given = EvaluationSet(items, **more)
    texts = sequences.tokenized(tokenizer, "set", given, models.positions(model))
    return likelihoods.of_items(model, "set", texts, token_budget)


def made(name, **more):
    return build(name, vocab_size=VOCABULARY, max_position_embeddings=128, **more)


ITEMS = [*(choice(n) for n in range(4)), *sums(), *(choice(n, "{letter}") for n in range(4, 8)),
         *(choice(n, "{text}", gold="D") for n in range(8, 12))]  # fmt: skip


# Each text alone, a few texts in a batch, all texts in one batch.
@pytest.mark.parametrize("token_budget", [1, 200, 100_000])
@pytest.mark.parametrize("name", ["llama-grouped-query", "opt", "gemma-multi-query", "mistral-sliding-window", "gpt2"])
def test_likelihoods_are_those_of_plain_transformers(name, token_budget, tokenizer, monkeypatch):
    if token_budget > 1000:
        monkeypatch.setattr("headpatterns.data.batching.PADDING", 100)
    more = {"n_positions": 128} if name == "gpt2" else {}
    model = made(name, **more)
    for item, found in zip(ITEMS, taken(model, tokenizer, ITEMS, token_budget), strict=True):
        nll, tokens = plain(model, tokenizer, item.prompt, item.response, end=True)
        assert (found.nll, found.tokens) == (pytest.approx(nll, rel=1e-4), tokens)
        options = [plain(model, tokenizer, item.prompt, option, end=False) for option in item.options]
        assert [tokens for _, tokens in found.options] == [tokens for _, tokens in options]
        np.testing.assert_allclose([nll for nll, _ in found.options], [nll for nll, _ in options], rtol=1e-4)
        if options:
            assert found.likeliest == min(range(4), key=lambda place: options[place][0])
            assert found.likeliest_per_token == min(range(4), key=lambda place: options[place][0] / options[place][1])
        assert not found.shortened


def test_the_loss_of_training_is_the_same(tokenizer):
    """Compares with the model's own loss on samples that training tokenizes: the mean over response and EOS."""
    from headpatterns.data.tokens import tokenize

    model = made("llama-grouped-query")
    for item, found in zip(sums(), taken(model, tokenizer, sums()), strict=True):
        sample = tokenize(tokenizer, item.id, item.prompt, item.response, 128)
        with torch.no_grad():
            loss = model(torch.tensor([sample.input_ids]), labels=torch.tensor([sample.labels])).loss.item()
        assert found.tokens == sample.response_tokens
        assert found.nll / found.tokens == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(("form", "passes"), [("{letter}", 1), ("{letter}. {text}", 4), ("{text}", 4)])
def test_what_begins_alike_is_read_once(form, passes, tokenizer, monkeypatch):
    model, rows = made("llama"), []
    forward = type(model).forward
    monkeypatch.setattr(type(model), "forward", lambda *given, **named: (rows.append(len(named["input_ids"])),
                                                                         forward(*given, **named))[1])  # fmt: skip
    taken(model, tokenizer, [choice(n, form) for n in range(3)])
    assert sum(rows) == 1 + 3 * passes  # one row to learn how the model makes its logits


def longrope():
    """A Phi-3 that reads texts of more than 64 tokens differently: with its long rotary factors."""
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [8.0, 4.0, 2.0, 1.5],
            "original_max_position_embeddings": 64, "factor": 4.0}  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(Phi3Config(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2, max_position_embeddings=256,
        original_max_position_embeddings=64, rope_parameters=rope,
    ))  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.dim() > 1 else 1)
    return model.eval()


def test_a_text_does_not_depend_on_what_shares_its_batch(monkeypatch):
    """It does not depend on a longer text with the same beginning either."""
    monkeypatch.setattr("headpatterns.data.batching.PADDING", 100)
    model, ids = longrope(), np.random.default_rng(0).integers(3, VOCABULARY, 70).astype(np.int32)
    items = [Texts(Text(ids[:length], 40), (Text(ids[:64], 40),), False) for length in (60, 64, 65, 70)]
    together = likelihoods.of_items(model, "set", items, 10_000)
    for item, found in zip(items, together, strict=True):
        (alone,) = likelihoods.of_items(model, "set", [Texts(item.gold, (), False)], 10_000)
        with torch.no_grad():
            logs = model(torch.from_numpy(item.gold.ids.astype(np.int64))[None]).logits[0].log_softmax(dim=-1)
        wanted = -sum(logs[place - 1, item.gold.ids[place]].item() for place in range(40, len(item.gold.ids)))
        assert found.nll == pytest.approx(wanted, rel=1e-4) == pytest.approx(alone.nll, rel=1e-4)
        assert found.options[0][0] == pytest.approx(together[1].nll, rel=1e-4)


def test_of_options_that_are_as_likely_the_first_is_taken():
    found = Likelihood(1.0, 1, ((2.0, 1), (1.0, 1), (1.0, 1), (2.0, 4)), shortened=False)
    assert (found.likeliest, found.likeliest_per_token) == (1, 3)


def test_a_likelihood_that_is_no_number_is_refused(tokenizer):
    model = made("llama")
    with torch.no_grad():
        model.lm_head.weight[5] = torch.inf
    with pytest.raises(InputError, match="LlamaForCausalLM gives likelihoods on the set 'set' that are not numbers"):
        taken(model, tokenizer, sums())


def test_tokens_without_an_embedding_are_refused(tokenizer):
    with pytest.raises(InputError, match="the set 'set' has the token id"):
        taken(build("llama"), tokenizer, sums())


# Examples, and texts that are too long --------------------------------------------------------------------------------

EXAMPLES = ("Question: 1 + 1?\nAnswer: It is 2.", "Question: 30 + 12?\nAnswer: It is 42.")


def test_examples_stand_before_every_prompt(tokenizer):
    model = made("llama")
    items = [*sums(2), choice(0)]
    before = "Question: 1 + 1?\nAnswer: It is 2.\n\nQuestion: 30 + 12?\nAnswer: It is 42.\n\n"
    for item, found in zip(items, taken(model, tokenizer, items, examples=EXAMPLES), strict=True):
        nll, tokens = plain(model, tokenizer, before + item.prompt, item.response, end=True)
        assert (found.nll, found.tokens, found.shortened) == (pytest.approx(nll, rel=1e-4), tokens, False)


def texts(tokenizer, item, positions, **more):
    (found,) = sequences.tokenized(tokenizer, "set", EvaluationSet([item], **more), positions)
    return found


def read(tokenizer, text):
    return tokenizer.decode(text.ids[: text.start].tolist()), tokenizer.decode(text.ids[text.start :].tolist())


def test_the_last_example_goes_first_where_they_are_too_many(tokenizer):
    item = choice(1)
    whole = texts(tokenizer, item, None, examples=EXAMPLES)
    longest = max(len(text.ids) for text in (whole.gold, *whole.options))
    assert texts(tokenizer, item, longest, examples=EXAMPLES).shortened is False
    shorter = texts(tokenizer, item, longest - 1, examples=EXAMPLES)
    assert shorter.shortened
    for text in (shorter.gold, *shorter.options):
        assert read(tokenizer, text)[0] == f"<s>{EXAMPLES[0]}\n\n{item.prompt.rstrip()}"
    bare = texts(tokenizer, item, None)
    alone = texts(tokenizer, item, max(len(text.ids) for text in (bare.gold, *bare.options)), examples=EXAMPLES)
    assert alone.shortened and np.array_equal(alone.gold.ids, bare.gold.ids)


def test_a_prompt_that_is_too_long_loses_its_beginning_but_bos(tokenizer):
    item = choice(2)
    whole = texts(tokenizer, item, None)
    longest = max(len(text.ids) for text in (whole.gold, *whole.options))
    cut = texts(tokenizer, item, longest - 5)
    assert cut.shortened
    for before, after in zip((whole.gold, *whole.options), (cut.gold, *cut.options), strict=True):
        assert after.start == before.start - 5
        assert after.ids.tolist() == [before.ids[0], *before.ids[6:]]


def test_a_response_that_leaves_no_room_is_named(tokenizer):
    item = Item("essay", "Question: Why?\nAnswer: ", "x", (), "because " * 30)
    tokens = texts(tokenizer, item, None).gold.predicted
    assert texts(tokenizer, item, tokens + 1).gold.start == 1
    with pytest.raises(
        InputError, match=rf"the set 'set': the gold response of the item 'essay'.* has {tokens} tokens"
    ):
        texts(tokenizer, item, tokens)


def test_a_lenient_set_keeps_of_a_response_what_fits(tokenizer):
    item = Item("essay", "Question: Why?\nAnswer: ", "", (), "because " * 30)
    whole = texts(tokenizer, item, None).gold
    cut = texts(tokenizer, item, 3 * whole.start, lenient=True)
    assert cut.shortened and cut.gold.start == whole.start
    assert cut.gold.ids.tolist() == whole.ids[: 3 * whole.start].tolist()
    half = texts(tokenizer, item, 16, lenient=True).gold
    assert whole.start >= 16
    assert (len(half.ids), half.predicted) == (16, 8)
    assert half.ids[half.start :].tolist() == whole.ids[whole.start : whole.start + 8].tolist()


# Comparison with OpenCompass ------------------------------------------------------------------------------------------

PROGRAM = """
import json, sys
from pathlib import Path
folder, rows, work, output = sys.argv[1:]
sys.path.append(SCRIPTS)
from headpatterns.evaluation import harness
harness.isolate(Path(work), None, 1)
from datasets import Dataset
from mmengine.config import ConfigDict
from opencompass.datasets.base import BaseDataset
from opencompass.openicl.icl_inferencer import PPLInferencer
from opencompass.openicl.icl_prompt_template import PromptTemplate
from opencompass.openicl.icl_retriever import ZeroRetriever
from opencompass.tasks import OpenICLInferTask

class Rows(BaseDataset):
    @staticmethod
    def load(path):
        return Dataset.from_list(json.loads(Path(path).read_text()))

model = harness.load(Path(folder), "float32", "cpu")
# Transformers 5 lacks it; one text at a time has no padding.
model.tokenizer.batch_encode_plus = lambda texts, **_: model.tokenizer(texts, return_tensors="pt")
template = {letter: "{prompt} {" + letter + "}" for letter in "ABCD"}
dataset = {
    "abbr": "rows", "type": Rows, "path": rows,
    "reader_cfg": {"input_columns": ["prompt", *"ABCD"], "output_column": "gold"},
    "infer_cfg": {"prompt_template": {"type": PromptTemplate, "template": template},
                  "retriever": {"type": ZeroRetriever}, "inferencer": {"type": PPLInferencer}},
}
settings = {"abbr": "m", "type": type(model), "path": folder, "batch_size": 1, "max_out_len": 1}
OpenICLInferTask(ConfigDict(models=[settings], datasets=[[dataset]], work_dir=work)).run(model, "m")
found = json.loads((Path(work) / "predictions/m/rows.json").read_text())
answers = []
for number, row in enumerate(json.loads(Path(rows).read_text())):
    own = found[str(number)]
    before = len(model.tokenizer(row["prompt"])["input_ids"])
    per_token = [float(model.get_ppl([row["prompt"] + " " + row[letter]], [before])[0]) for letter in "ABCD"]
    whole = [own["label: " + letter]["PPL"] for letter in "ABCD"]
    answers.append({"prediction": own["prediction"], "whole": whole, "per_token": per_token})
Path(output).write_text(json.dumps(answers))
""".replace("SCRIPTS", repr(str(scripts.FOLDER)))


def of_opencompass(python, folder, items, home):
    """What OpenCompass's PPL inferencer gives for items: its choice, its numbers, and the numbers of each option."""
    rows = [{"prompt": item.prompt.rstrip(), "gold": item.gold, **dict(zip("ABCD", item.options, strict=True))}
            for item in items]  # fmt: skip
    (home / "rows.json").write_text(json.dumps(rows))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_"))}
    command = [python, "-c", PROGRAM, folder, home / "rows.json", home / "work", home / "found.json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads((home / "found.json").read_text())


def compare(python, folder, items, home):
    """Compare our likelihoods of options with OpenCompass's; returns how often each of our rankings agrees with it."""
    model, tokenizer = models.load_model(folder), AutoTokenizer.from_pretrained(folder)
    agreed = np.zeros(2)
    ours = taken(model, tokenizer, items)
    for item, found, theirs in zip(items, ours, of_opencompass(python, folder, items, home), strict=True):
        np.testing.assert_allclose([nll / tokens for nll, tokens in found.options], theirs["per_token"], rtol=1e-4)
        # OpenCompass's own number covers prompt and option, both in its sum and in its number of tokens.
        own = texts(tokenizer, item, None)
        whole = [plain(model, tokenizer, "", item.prompt.rstrip() + " " + option.strip(), end=False)[0] / len(text.ids)
                 for option, text in zip(item.options, own.options, strict=True)]  # fmt: skip
        np.testing.assert_allclose(whole, theirs["whole"], rtol=1e-4)
        letters = "ABCD"[found.likeliest], "ABCD"[found.likeliest_per_token]
        agreed += [letter == theirs["prediction"] for letter in letters]
    return agreed / len(items)


def test_options_are_ranked_as_opencompass_ranks_them(opencompass, tokenizer, tmp_path):
    """If all options have equally many tokens, OpenCompass's ranking is ours, by whole likelihood and per token."""
    made("opt").save_pretrained(tmp_path / "opt")
    tokenizer.save_pretrained(tmp_path / "opt")
    numbers = [str(n) for n in range(10, 99) if len(tokenizer.tokenize(f" {n}")) == 2]
    assert len(numbers) > 40
    rows = []
    for n in range(12):
        options = tuple(numbers[(7 * n + 11 * place) % len(numbers)] for place in range(4))
        rows.append(Item(str(n), f"Question: How many are {n} times 3?\nAnswer: ", "A", options, options[0], options))
    agreed = compare(opencompass, tmp_path / "opt", rows, tmp_path)
    assert agreed.tolist() == [1, 1]


def test_likelihoods_of_a_real_model_on_real_questions_are_opencompass_s(opencompass, real, tmp_path):
    lines = (real / "realdata/arc/ARC-Challenge/ARC-Challenge-Dev.jsonl").read_text(encoding="utf-8").splitlines()
    items = []
    for row in map(json.loads, lines[:40]):
        choices = tuple(one["text"] for one in row["question"]["choices"])
        if len(choices) == 4 and row["answerKey"] in "ABCD":
            options = tuple(f"{letter}. {text}" for letter, text in zip("ABCD", choices, strict=True))
            stem = f"Question: {row['question']['stem']}\nAnswer: "
            gold = "ABCD".index(row["answerKey"])
            items.append(Item(row["id"], stem, row["answerKey"], choices, options[gold], options))
    assert len(items) > 20
    compare(opencompass, real / "realmodels/stories260K", items, tmp_path)
