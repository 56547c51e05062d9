"""Selection methods without patterns, compared with a few lines of plain transformers and with values by hand."""

import json

import numpy as np
import pytest
import scripts
import torch
from experiments import checked, config_of, meaning
from tiny_models import build

from headpatterns.data.tokens import TokenizedSample
from headpatterns.errors import InputError
from headpatterns.studies.selection import candidates, features, scores
from headpatterns.studies.selection.settings import problems, ranked, reads_candidates

ROWS = [
    {"id": "a", "prompt": "What is red?\n", "response": "The sun in the evening"},
    {"id": "b", "prompt": "And what is it that is green on a meadow in spring?\n", "response": "grass"},
    {"id": "c", "prompt": "", "response": "Nothing was asked, and all the same there is an answer of some length."},
    {"id": "d", "prompt": "Say a word.\n", "response": "word"},
]


@pytest.fixture(scope="module", params=["llama", "opt"])
def read(request, tmp_path_factory, tokenizer):
    """A model, and the folder with its states and losses of `ROWS`, from batches of several samples."""
    folder = tmp_path_factory.mktemp(f"candidates-{request.param}")
    model = build(request.param, vocab_size=len(tokenizer), max_position_embeddings=128).eval()
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    for name, rows in (("probe", ROWS), ("train", ROWS[:2])):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    scripts.run(
        "read_candidates", model=folder / "model", name=["train", "probe"], max_length=64, token_budget=150,
        data=[folder / "train.jsonl", folder / "probe.jsonl"], output=folder / "found",
    )  # fmt: skip
    return model, folder / "found"


def plain(model, tokenizer, row):
    """Weighted mean of the last hidden states of a sample, and the loss of its response without the prompt."""
    ids = [*tokenizer(row["prompt"] + row["response"])["input_ids"], tokenizer.eos_token_id]
    alone = [*tokenizer(row["response"])["input_ids"], tokenizer.eos_token_id]
    with torch.no_grad():
        states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[-1][0]
        logits = model(torch.tensor([alone])).logits[0, :-1]
    weights = torch.arange(1, len(ids) + 1, dtype=torch.float)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(alone[1:]))
    return (weights @ states / weights.sum()).numpy(), loss.item()


def test_states_and_losses_are_those_of_plain_transformers(read, tokenizer):
    model, folder = read
    found = candidates.load(folder, "probe")
    assert found.ids == ["a", "b", "c", "d"]
    for row, states, alone in zip(ROWS, found.states, found.alone, strict=True):
        wanted, loss = plain(model, tokenizer, row)
        np.testing.assert_allclose(states, wanted, rtol=1e-4, atol=1e-6)
        assert alone == pytest.approx(loss, rel=1e-5)


def test_alone_are_read_the_tokens_that_have_a_loss_behind_the_prompt(read, tokenizer):
    """A cut sample has as many of these tokens as it keeps; a conversation has all turns of the assistant."""
    model, _ = read
    ids = list(range(5, 17))
    samples = [
        TokenizedSample("cut", ids[:7], 4, truncated=True),
        TokenizedSample("chat", ids, 9, truncated=False, turns=((2, 4), (9, 12))),
        TokenizedSample("one turn cut off", ids[:9], 9, truncated=True, turns=((2, 4), (9, 12))),
    ]
    responses = {one.id: "Words and words and words" for one in samples}
    found = features.losses_alone(model, tokenizer, "probe", samples, responses, 64, 100)
    begun, words = [tokenizer.bos_token_id], tokenizer(responses["cut"], add_special_tokens=False)["input_ids"]
    for loss, spans in zip(found, ([words[:3]], [ids[2:4], ids[9:12]], [ids[2:4]]), strict=True):
        nats = 0.0
        for span in spans:
            with torch.no_grad():
                logits = model(torch.tensor([begun + span])).logits[0, :-1]
            nats += torch.nn.functional.cross_entropy(logits, torch.tensor(span), reduction="sum").item()
        assert loss == pytest.approx(nats / sum(map(len, spans)), rel=1e-5)


def test_samples_are_found_by_their_ids(read):
    _, folder = read
    found, some = candidates.load(folder, "probe"), candidates.load(folder, "probe").of(["d", "a"])
    assert some.ids == ["d", "a"]
    np.testing.assert_array_equal(some.states, found.states[[3, 0]])
    np.testing.assert_array_equal(some.alone, found.alone[[3, 0]])
    with pytest.raises(InputError, match=r"train\.json lacks the sample c: run the rule read_candidates again\."):
        candidates.load(folder, "train").of(["c"])


def test_a_folder_that_is_not_whole_is_refused(read, tmp_path):
    _, folder = read
    with pytest.raises(InputError, match=r"cannot be read .*: run the rule read_candidates again\."):
        candidates.load(tmp_path, "probe")
    for path in folder.glob("probe.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    np.save(tmp_path / "probe.alone.npy", np.zeros(3))
    with pytest.raises(InputError, match="have different numbers of samples"):
        candidates.load(tmp_path, "probe")


def test_references_take_in_turn_what_is_most_like_them():
    """The first reference takes a, which the second would take too; the second takes c, the first b, the second d."""
    similarity = np.array([[0.9, 0.8], [0.7, 0.1], [0.8, 0.7], [0.2, 0.6]])
    similarity[2, 0] = 0.3
    assert scores.round_robin(similarity, list("abcd")) == [("a", 0.9), ("c", 0.7), ("b", 0.7), ("d", 0.6)]


def test_states_are_compared_by_their_cosine(tmp_path):
    """RDS+ by hand: [3, 4] and [2, 0] have the cosines 4/5 and 0 with [0, 2], and 7/(5√2) and 1/√2 with [1, 1]."""
    for name, ids, states in (("probe", "ab", [[3, 4], [2, 0]]), ("train", "xy", [[0, 2], [1, 1]])):
        np.save(tmp_path / f"{name}.states.npy", np.array(states, dtype=np.float32))
        np.save(tmp_path / f"{name}.alone.npy", np.zeros(2))
        (tmp_path / f"{name}.json").write_text(json.dumps({"ids": list(ids)}))
    own, private = candidates.load(tmp_path, "probe"), candidates.load(tmp_path, "train")
    similarity = scores.cosines(own.of(["b", "a"]).states, private.states)
    np.testing.assert_allclose(similarity, [[0, 0.5**0.5], [0.8, 1.4 * 0.5**0.5]], rtol=1e-6)
    assert scores.round_robin(similarity, ["b", "a"]) == [("a", pytest.approx(0.8)), ("b", pytest.approx(0.5**0.5))]


@pytest.mark.parametrize("references", [1, 3, 7])
def test_every_sample_is_taken_once(references):
    similarity = np.random.default_rng(references).normal(size=(20, references))
    found = scores.round_robin(similarity, [str(n) for n in range(20)])
    assert sorted(int(id) for id, _ in found) == list(range(20))
    if references == 1:
        assert [int(id) for id, _ in found] == list(np.argsort(-similarity[:, 0]))


def test_ifd_by_hand():
    found = scores.ifd_scores(np.array([1.0, 3.0, 2.0, 1.0]), np.array([2.0, 2.0, 2.0, 0.0]))
    np.testing.assert_array_equal(found, [0.5, np.nan, 1.0, np.nan])
    assert [id for id, _ in scores.ranking(found, list("abcd"))] == ["c", "a", "b", "d"]


def test_layers_are_divided_by_their_sums():
    patterns = np.array([[[1.0, 3.0], [0.0, 0.0]], [[2.0, 2.0], [1.0, 0.0]]])
    np.testing.assert_array_equal(scores.ByLayer(patterns)[:], [[[0.25, 0.75], [0.0, 0.0]], [[0.5, 0.5], [1.0, 0.0]]])


def small(**settings):
    config = config_of()
    config["studies"]["selection"] |= {"methods": ["pattern"], "scored": []} | settings
    return config


def test_candidates_are_read_where_a_method_needs_it():
    assert not reads_candidates(checked(small(scored=["signed", "mid-perplexity"])))
    assert reads_candidates(checked(small(scored=["rds"])))
    without = small(scored=["rds"], related=None)
    assert not reads_candidates(checked(without))  # nothing would judge the ranking
    assert ranked(meaning(without)) == ["pattern"]
    assert reads_candidates(checked(small(methods=["pattern", "ifd"], related=None)))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"methods": ["pattern", "rds"], "scored": ["signed", "rds"]},
            "studies.selection.scored[1] names 'rds', which `methods` has as well: remove it from one.",
        ),
        (
            {"scored": ["signed"]},
            "studies.selection ranks by 'signed' patterns, which need the reduction abs_of_sum: add "
            "abs_of_sum to patterns.also.",
        ),
    ],
)
def test_what_cannot_be_ranked_is_said_before_anything_runs(settings, said):
    config = small(**settings)
    if settings["scored"] == ["signed"]:
        config["patterns"] |= {"reduction": "sum_of_abs", "also": ["abs_per_position"]}
    assert said in list(problems(meaning(config)))
