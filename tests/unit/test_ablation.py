"""Ablation of heads, compared with zeroed output projections and the slope of Eq. 2; its script and its study."""

import json
import math
import re

import numpy as np
import pytest
import scripts
import torch
from experiments import checked, config_of, meaning
from test_attribution import make_samples
from test_experiment import assign, complaint
from test_extract_patterns import write_jsonl
from test_tokenization import write_instructions
from tiny_models import ARCHITECTURES, build
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from headpatterns.attribution import REDUCTIONS, activation_patterns, passes
from headpatterns.attribution.ablation import ablated_losses, ablations, groups, orders
from headpatterns.attribution.interface import NAME
from headpatterns.data import samples
from headpatterns.errors import InputError
from headpatterns.experiment import batches
from headpatterns.models import loading as models
from headpatterns.studies.adaptation import settings as adaptation
from headpatterns.studies.validity import ablations as ablations_of
from headpatterns.studies.validity import settings as validity

PROJECTIONS = {
    "opt": lambda model: [layer.self_attn.out_proj.weight for layer in model.model.decoder.layers],
    "gpt2": lambda model: [layer.attn.c_proj.weight.T for layer in model.transformer.h],
    "gpt-neox": lambda model: [layer.attention.dense.weight for layer in model.gpt_neox.layers],
}
"""Weights of the output projections, [hidden, heads × head size], of models that do not name them as Llama does."""

NAMES = list(ARCHITECTURES)
HEADS = (3, 6)


def settings(*removed):
    """A mask for each set of removed (layer, head) pairs, False for these heads: bool [settings, 3, 6]."""
    kept = np.ones((len(removed), *HEADS), dtype=bool)
    for setting, places in enumerate(removed):
        for place in places:
            kept[setting][place] = False
    return kept


GROUPS = [[], [(0, 0)], [(1, 5)], [(2, 3)], [(0, 1), (0, 2), (2, 0)], [(1, head) for head in range(6)]]


def without_heads(name, removed, of_samples):
    """Losses [N] from the model's own forward pass; the output projections have zero columns for the removed heads."""
    model = build(name)
    projections = PROJECTIONS.get(name, lambda model: [layer.self_attn.o_proj.weight for layer in model.model.layers])
    with torch.no_grad():
        for layer, head in removed:
            weight = projections(model)[layer]
            size = weight.shape[1] // HEADS[1]
            weight[:, head * size : (head + 1) * size] = 0
        return [
            model(input_ids=torch.tensor([one.input_ids]), labels=torch.tensor([one.labels])).loss.item()
            for one in of_samples
        ]


# What it computes -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_equals_a_model_without_the_columns_of_the_heads(name):
    made = make_samples()
    expected = np.array([without_heads(name, removed, made) for removed in GROUPS])
    assert (np.abs(expected[1:] - expected[0]).max(axis=1) > 1e-3).all()
    model = build(name)
    for token_budget in (1, 40, 10_000):  # one pair per batch; a few, padded; as many as padding allows
        found = ablated_losses(model, made, settings(*GROUPS), token_budget=token_budget)
        assert (found.shape, found.dtype) == ((len(GROUPS), len(made)), np.float64)
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_with_every_head_the_losses_are_those_of_the_patterns(name):
    model, made = build(name), make_samples()
    found = ablated_losses(model, made, np.ones((1, *HEADS), dtype=bool))
    np.testing.assert_allclose(found[0], activation_patterns(model, made).losses, rtol=1e-6)


def signed(model, sample):
    """Σ A ⊙ ∂L/∂A of every head, [3, 6], from eager attention."""
    model.set_attn_implementation("eager")
    result = model(
        input_ids=torch.tensor([sample.input_ids]), labels=torch.tensor([sample.labels]), output_attentions=True
    )
    for attention in result.attentions:
        attention.retain_grad()
    result.loss.backward()
    model.zero_grad()
    model.set_attn_implementation("sdpa")
    return np.array([(one[0] * one.grad[0]).sum((1, 2)).tolist() for one in result.attentions])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES[:3])
def test_the_pattern_is_the_slope_at_which_ablation_begins(name):
    """(L(1 − ε) − L) / ε → −Σ A ⊙ ∂L/∂A; `abs_of_sum` is the absolute value of this slope."""
    model, made = build(name), make_samples()
    slopes = -np.array([signed(model, sample) for sample in made])
    assert (slopes > 0).any() and (slopes < 0).any()
    patterns = activation_patterns(model, made, reduction="abs_of_sum").values
    np.testing.assert_allclose(np.abs(slopes), patterns, rtol=1e-3, atol=1e-5 * np.abs(slopes).max())
    errors = []
    for epsilon in (0.2, 0.02):
        kept = 1 - epsilon * np.concatenate([np.zeros((1, 18)), np.eye(18)]).reshape(-1, *HEADS)
        losses = ablated_losses(model, made, kept)
        found = ((losses[1:] - losses[0]) / epsilon).T.reshape(-1, *HEADS)
        errors.append(np.abs(found - slopes).max() / np.abs(slopes).max())
    assert errors[1] < min(0.05, errors[0] / 3)


def test_independent_of_company_and_order():
    model, made = build("llama-grouped-query"), make_samples()
    reference = ablated_losses(model, made, settings(*GROUPS), token_budget=10_000)
    order = [3, 0, 4, 2, 1]
    shuffled = ablated_losses(model, [made[n] for n in order], settings(*reversed(GROUPS)), token_budget=20)
    np.testing.assert_allclose(shuffled, reference[::-1, order], rtol=1e-5)


@pytest.mark.slow
def test_a_real_model_loses_by_its_heads(real):
    """On a pretrained grouped-query model, ablation again equals zeroed columns, and it raises the mean loss."""
    folder = real / "realmodels" / "stories260K"
    model, tokenizer = models.load_model(folder), models.load_tokenizer(folder)
    lines = (real / "realdata" / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:4]
    rows = [{"id": str(n), "prompt": json.loads(line)["question"], "response": json.loads(line)["answer"]}
            for n, line in enumerate(lines)]  # fmt: skip
    made, _ = samples.tokenized(tokenizer, rows, 256, "rows", skip=True)
    kept = np.concatenate([np.ones((1, 40)), 1 - np.eye(40)]).reshape(-1, 5, 8)
    losses = ablated_losses(model, made, kept)
    assert (losses[1:] - losses[0]).mean() > 0
    with torch.no_grad():
        model.model.layers[3].self_attn.o_proj.weight[:, 16:24] = 0
    np.testing.assert_allclose(losses[1 + 3 * 8 + 2], ablated_losses(model, made, kept[:1])[0], rtol=1e-5)


# What it leaves behind, and what it refuses ---------------------------------------------------------------------------


@pytest.mark.parametrize("fails", [False, True])
def test_leaves_the_model_as_it_was(fails):
    model, made = build("llama-grouped-query").train(), make_samples()
    frozen = model.model.layers[0].mlp.up_proj.weight.requires_grad_(False)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    seen = []

    def watch(done, total):
        seen.append((done, total))
        if fails:
            raise RuntimeError("stopped")

    if fails:
        with pytest.raises(RuntimeError, match="stopped"):
            ablated_losses(model, made, settings(*GROUPS), token_budget=40, progress=watch)
    else:
        ablated_losses(model, made, settings(*GROUPS), token_budget=40, progress=watch)
        assert seen[-1] == (30, 30) and len(seen) > 1
    assert model.training and torch.is_grad_enabled()
    assert model.config._attn_implementation == "sdpa"
    assert NAME not in AttentionInterface._global_mapping
    assert NAME not in AttentionMaskInterface._global_mapping
    for name, parameter in model.named_parameters():
        assert parameter.grad is None
        assert parameter.requires_grad == (parameter is not frozen)
        assert torch.equal(parameter, before[name])


@pytest.mark.parametrize("shape", [(3, 6), (1, 3, 5), (1, 2, 6)])
def test_another_shape_than_the_models_is_refused(shape):
    sentence = r"has 3 layers of 6 heads: give \[settings, 3, 6\]\.$"
    with pytest.raises(InputError, match=sentence):
        ablated_losses(build("opt"), make_samples(), np.ones(shape, dtype=bool))


def test_attention_outside_the_interface_is_refused():
    """A head that the ablation does not reach would seem to have no effect."""
    model = build("llama-grouped-query")
    attention = model.model.layers[2].self_attn
    attention.forward = lambda hidden_states, **_: (attention.o_proj(attention.q_proj(hidden_states)), None)
    with pytest.raises(InputError, match=r"layers \[2\] of LlamaForCausalLM computed no attention"):
        ablated_losses(model, make_samples(), settings([]))
    model = build("llama-grouped-query")
    model.model.layers[2].self_attn.layer_idx = 1
    with pytest.raises(InputError, match="layer 1 of LlamaForCausalLM computes attention more than once"):
        ablated_losses(model, make_samples(), settings([]))


def test_broken_weights_name_the_sample():
    model = build("llama-grouped-query")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight.fill_(math.nan)
    with pytest.raises(InputError, match=r"loss of sample 's\d' is nan"):
        ablated_losses(model, make_samples(), settings([]))


def test_no_sample_is_refused():
    with pytest.raises(InputError, match="data is empty"):
        ablated_losses(build("opt"), [], settings([]))


# The script -----------------------------------------------------------------------------------------------------------

TOP = [1, 2, 5, 18]
FILES = [f"{phase}.{part}" for phase in ("after", "before")
         for part in ("changes.npy", "groups.npy", "json", "patterns.npy")]  # fmt: skip


@pytest.fixture
def data(rows, tmp_path):
    return write_jsonl(tmp_path / "probe.jsonl", rows)


@pytest.fixture(scope="module")
def trained(model_folder, tokenizer_folder, rows, tmp_path_factory):
    """Two runs of one model."""
    folder = tmp_path_factory.mktemp("trained")
    shards = folder / "tokenized" / "sums" / "train"
    instructions = write_instructions(folder / "sums.parquet", rows)
    scripts.run(
        "tokenize_instructions", model=tokenizer_folder, instructions=instructions, max_length=256, output=shards
    )
    scripts.run("cut_training_set", tokenized=shards, seed=0, output=folder / "all.csv")
    for seed, name in enumerate(("one", "two")):
        scripts.run(
            "finetune",
            model=model_folder,
            training_set=folder / "all.csv",
            tokenized=shards,
            output=folder / name,
            recipe=json.dumps(
                {
                    "learning_rate": 1e-2,
                    "per_device_batch_size": 4,
                    "global_batch_size": 4,
                    "max_steps": 3,
                    "seed": seed,
                }
            ),
        )
    return folder


@pytest.fixture
def ablate(model_folder, trained, data, tmp_path):
    def call(**changed):
        given = {"run": trained / "one", "data": data, "output_folder": tmp_path / "out", "top": TOP}
        scripts.run("ablate_heads", model=model_folder, **{**given, "samples": 5, "draws": 3, **changed})
        return tmp_path / "out"

    return call


def read(folder, phase):
    arrays = [np.load(folder / f"{phase}.{part}.npy") for part in ("changes", "patterns", "groups")]
    return *arrays, json.loads((folder / f"{phase}.json").read_text(encoding="utf-8"))


def of_ids(folder, rows, ids):
    """The model in a folder, and its samples of the rows with these ids."""
    model, tokenizer = models.load_model(folder), models.load_tokenizer(folder)
    made, _ = samples.tokenized(tokenizer, [row for row in rows if row["id"] in ids], 256, "rows", skip=False)
    return model, made


def test_before_and_after_a_run(ablate, model_folder, trained, rows):
    folder = ablate(samples=5)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert [path.name for path in folder.parent.iterdir() if "unfinished" in path.name] == []
    for key in ("ids", "pattern_ids"):
        assert read(folder, "before")[3][key] == read(folder, "after")[3][key]
    for phase, of_model in {"before": model_folder, "after": trained / "one" / "final"}.items():
        changes, patterns, together, about = read(folder, phase)
        assert [array.dtype for array in (changes, patterns, together)] == 3 * [np.float32]
        assert (changes.shape, patterns.shape, together.shape) == ((5, 3, 6), (3, 5, 3, 6), (5, 4, 5))
        assert about["reductions"] == list(REDUCTIONS) and about["reduction"] == "abs_of_sum"
        assert (about["model"], about["top"], about["draws"]) == (str(of_model), TOP, 3)
        assert (about["layers"], about["heads"], about["phase"]) == (3, 6, phase)
        model, made = of_ids(of_model, rows, about["ids"])
        assert [sample.id for sample in made] == about["ids"] and len(made) == 5
        losses = ablated_losses(
            model, made, settings([], [(1, 4)], [(0, 0)], [(n, h) for n in range(3) for h in range(6)])
        )
        np.testing.assert_allclose(about["losses"], losses[0], rtol=1e-6)
        np.testing.assert_allclose(changes[:, 1, 4], losses[1] - losses[0], atol=1e-5)
        np.testing.assert_allclose(changes[:, 0, 0], losses[2] - losses[0], atol=1e-5)
        # The patterns come from other samples than the ablations.
        _, others = of_ids(of_model, rows, about["pattern_ids"])
        assert [sample.id for sample in others] == about["pattern_ids"] and len(others) == 5
        assert not set(about["pattern_ids"]) & set(about["ids"])
        for reduction, found in zip(REDUCTIONS, patterns, strict=True):
            np.testing.assert_allclose(found, activation_patterns(model, others, reduction=reduction).values, rtol=1e-4)
        # Groups of one head: the highest and the lowest in rank. The group of all heads is the same in every order.
        ranking = patterns[0].astype(np.float64).mean(axis=0)
        np.testing.assert_array_equal(together[0, 0], changes[:, *np.unravel_index(ranking.argmax(), HEADS)])
        np.testing.assert_array_equal(together[1, 0], changes[:, *np.unravel_index(ranking.argmin(), HEADS)])
        np.testing.assert_array_equal(together[:, 3], 5 * [together[0, 3]])
        np.testing.assert_allclose(together[0, 3], losses[3] - losses[0], atol=1e-5)
        largest = [np.unravel_index(flat, HEADS) for flat in np.argsort(-ranking.ravel())[:5]]
        change = ablated_losses(model, made, settings(largest))[0] - losses[0]
        np.testing.assert_allclose(together[0, 2], change, atol=1e-5)
        # A random group of one head is one of the 18 heads, and the same head before and after.
        for draw in together[2:, 0]:
            assert (np.abs(changes.reshape(5, 18) - draw[:, None]).max(axis=0) == 0).any()
    before, after = (read(folder, phase) for phase in ("before", "after"))
    assert not np.array_equal(before[1], after[1])
    drawn = [[np.abs(found[0].reshape(5, 18) - draw[:, None]).max(axis=0).argmin() for draw in found[2][2:, 0]]
             for found in (before, after)]  # fmt: skip
    assert drawn[0] == drawn[1]


def test_random_groups_are_nested_and_follow_the_seed():
    ranking = np.random.default_rng(0).random(HEADS)
    drawn = orders(ranking, 4, "a")
    assert (np.sort(drawn, axis=1) == np.arange(18)).all() and drawn.shape == (6, 18)
    assert (np.diff(ranking.ravel()[drawn[0]]) < 0).all() and (drawn[0] == drawn[1][::-1]).all()
    assert len({order.tobytes() for order in drawn[2:]}) == 4
    assert (orders(-ranking, 2, "a")[2:] == drawn[2:4]).all()
    assert (orders(ranking, 1, "b")[2] != drawn[2]).any()
    assert orders(np.zeros(HEADS), 0, "a").tolist() == 2 * [list(range(18))]  # equal heads keep the model's order
    sizes = [1, 4, 18]
    for order, found in zip(drawn, groups(drawn, sizes), strict=True):
        assert [set(np.flatnonzero(row)) for row in found] == [set(order[:size]) for size in sizes]


def test_more_heads_than_there_are_cannot_be_ablated():
    sentence = r"^19 heads of OPTForCausalLM cannot be ablated, because it has only 18: give"
    with pytest.raises(InputError, match=sentence):
        ablations(build("opt"), make_samples(), np.ones(HEADS), [2, 19], 1, "a")


def test_samples_are_drawn_by_the_seed_and_not_by_the_order(ablate, data, rows, tmp_path):
    def drawn(**options):
        about = read(ablate(top=[1], draws=1, **options), "before")[3]
        return about["ids"], about["pattern_ids"]

    first, other, more = drawn(), drawn(seed=1), drawn(samples=6)
    assert drawn() == first
    write_jsonl(data, rows[::-1])
    assert drawn() == tuple(ids[::-1] for ids in first)
    assert all(set(ids) != set(others) for ids, others in zip(first, other, strict=True))
    assert set(first[0]) < set(more[0])
    assert all(ids == [row["id"] for row in rows if row["id"] in ids] for ids in (*first, *more))


@pytest.mark.parametrize(
    ("count", "samples", "expected"),
    [(12, 5, (5, 5)), (12, 6, (6, 6)), (11, 6, (5, 6)), (9, 500, (4, 5)), (4, 2, (2, 2))],
)
def test_the_samples_of_patterns_are_others(ablate, data, rows, count, samples, expected):
    write_jsonl(data, rows[:count])
    changes, patterns, together, about = read(ablate(top=[1], draws=1, samples=samples), "before")
    assert (len(about["ids"]), len(about["pattern_ids"])) == expected
    assert len({*about["ids"], *about["pattern_ids"]}) == sum(expected) == min(count, 2 * samples)
    assert (len(changes), together.shape[2], len(about["losses"])) == 3 * (expected[0],)
    assert (patterns.shape, patterns.dtype) == ((3, expected[1], *HEADS), np.float32)


def test_the_analysis_reads_what_is_written(ablate, data, rows):
    write_jsonl(data, rows[:11])
    folder = ablate(samples=6)
    found = ablations_of.read_both(folder)
    for phase, read_back in found.items():
        changes, patterns, together, about = read(folder, phase)
        assert (read_back.ids, read_back.pattern_ids) == (about["ids"], about["pattern_ids"])
        assert (len(read_back.ids), len(read_back.pattern_ids)) == (5, 6)
        for array, same in ((read_back.changes, changes), (read_back.patterns, patterns), (read_back.groups, together)):
            np.testing.assert_array_equal(array, same)


def test_too_few_rows_for_both_are_refused(capfd, monkeypatch, model_folder, trained, data, rows, tmp_path):
    write_jsonl(data, rows[:3])
    given = {"model": model_folder, "run": trained / "one", "data": data, "output_folder": tmp_path / "out", "top": TOP}
    sentence = scripts.refused(capfd, monkeypatch, "ablate_heads", **given)
    assert (
        f"{data} has 3 samples within 1024 tokens, but 4 are needed, half for ablations and half for patterns"
        in sentence
    )
    assert [path.name for path in tmp_path.iterdir()] == [data.name]


def test_runs_that_share_a_job_have_the_files_of_jobs_of_their_own(ablate, trained, data, tmp_path):
    shared = [tmp_path / "shared" / name for name in ("one", "two")]
    ablate(run=[trained / "one", trained / "two"], data=[data, data], output_folder=shared)
    for run, folder in zip(("one", "two"), shared, strict=True):
        alone = tmp_path / "alone" / run
        ablate(run=trained / run, output_folder=alone)
        files = {path.name: path.read_bytes() for path in alone.glob("*.npy")}
        assert files == {path.name: path.read_bytes() for path in folder.glob("*.npy")}
        assert len(files) == 6
    first, second = (scripts.contents(folder) for folder in shared)
    assert first["before.changes.npy"] == second["before.changes.npy"]
    assert first["after.changes.npy"] != second["after.changes.npy"]


@pytest.mark.slow
def test_an_interrupted_job_keeps_a_phase_and_never_a_stale_one(ablate, trained, tmp_path):
    whole = scripts.contents(ablate())
    weights = trained / "one" / "final" / "model.safetensors"
    complete = weights.read_bytes()
    weights.write_bytes(complete[:100])
    try:
        kept = tmp_path / "again.unfinished" / "before.json"
        with pytest.raises(InputError, match="final"):
            ablate(output_folder=tmp_path / "again")
        first = kept.stat().st_mtime_ns
        with pytest.raises(InputError, match="final"):
            ablate(output_folder=tmp_path / "again")
        assert kept.stat().st_mtime_ns == first
        for changed in ({"reduction": "sum_of_abs"}, {"samples": 4}, {"draws": 2}, {"top": [2]}, {"seed": 7}):
            stale = kept.read_bytes()
            with pytest.raises(InputError, match="final"):
                ablate(output_folder=tmp_path / "again", **changed)
            assert kept.read_bytes() != stale
    finally:
        weights.write_bytes(complete)
    ablate(output_folder=tmp_path / "again")
    found = scripts.contents(tmp_path / "again")
    assert list(found) == FILES
    assert {name: content for name, content in found.items() if name.endswith(".npy")} == {
        name: content for name, content in whole.items() if name.endswith(".npy")
    }


@pytest.mark.slow
def test_an_interrupted_phase_continues_with_the_missing_passes(ablate, monkeypatch, tmp_path):
    """A job that gets a few passes further each time, which would never end if it repeated them."""
    given = {"ablations": ["zero", "mean", "resample", "scale"], "token_budget": 100}
    forward, done = passes.forward, []

    def counted(*of_pass):
        done.append(of_pass)
        if len(done) == most:
            raise KeyboardInterrupt
        return forward(*of_pass)

    monkeypatch.setattr(passes, "forward", counted)
    most = 0
    whole = scripts.contents(ablate(**given))
    most, interruptions, passes_in_all = 100, 0, len(done)
    assert passes_in_all > 4 * most
    for _ in range(passes_in_all):
        done.clear()
        try:
            ablate(output_folder=tmp_path / "again", **given)
            break
        except KeyboardInterrupt:
            interruptions += 1
    assert 4 <= interruptions < 20
    found = scripts.contents(tmp_path / "again")
    assert list(found) == list(whole)
    for name in found:
        assert name.endswith(".json") or found[name] == whole[name], name


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"top": [1, 19]}, r"--top has 19, but .*llama has 3 layers of 6 heads: give at most 18\."),
        ({"top": [0]}, r"--top is \[0\]: give 1 or more\."),
        ({"samples": 0}, r"--samples is 0: give 1 or more\."),
        ({"token_budget": "much"}, r"--token-budget is much: give a whole number of 1 or more, or auto\."),
        ({"draws": -1}, r"--draws is -1: give 1 or more\."),
        ({"run": "nowhere"}, r"nowhere has no run\.json: give the folder of a finished run\."),
        ({"data": "nowhere.jsonl"}, r"the data file nowhere\.jsonl does not exist: fix"),
        ({"model": "nowhere"}, r"the model folder nowhere does not exist"),
        ({"data": ["a.jsonl", "b.jsonl"]}, r"give as many --data and --output-folder as --run\."),
        ({"device": "gpu"}, r"unknown device 'gpu'"),
        ({"max_length": 5}, r"has no response token within the maximum length of 5 tokens"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_what_the_script_refuses(capfd, monkeypatch, model_folder, trained, data, tmp_path, options, sentence):
    given = {"model": model_folder, "run": trained / "one", "data": data, "output_folder": tmp_path / "out", "top": TOP}
    found = scripts.refused(capfd, monkeypatch, "ablate_heads", **{**given, **options})
    assert re.search(sentence, found)
    assert not (tmp_path / "out").exists()


# The study ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def config():
    return config_of()


def test_the_runs_of_the_study_are_those_of_the_adaptation(config):
    config["studies"]["validity"]["seeds"] = None
    assert validity.runs(meaning(config)) == adaptation.runs(meaning(config))
    config["studies"]["validity"] |= {"models": ["opt", "llama"], "tasks": ["arc", "math"]}
    config["seeds"] = [0, 5]
    experiment = meaning(config)
    found = validity.runs(experiment)
    assert {(run.model, run.task) for run in found} == {(m, t) for m in ("llama", "opt") for t in ("math", "arc")}
    assert len(found) == 8 and [run.model for run in found] == 4 * ["llama"] + 4 * ["opt"]
    parts = [batches.part(batch, found) for batch in experiment.batches.values()]
    in_jobs = [run for part in parts for model, seed in part.takers for run in part.of(model, seed)]
    assert sorted(map(str, in_jobs)) == sorted(map(str, found))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"studies.validity.tasks": ["arc", "gsm8"]},
            "studies.validity.tasks[1] names the unknown task of studies.adaptation 'gsm8'; did you mean 'gsm8k'?",
        ),
        (
            {"studies.validity.tasks": ["infinity-law"]},
            "studies.validity.tasks[0] names the unknown task of studies.adaptation 'infinity-law'; valid are: math,",
        ),
        (
            {"studies.validity.models": ["llama-weak"]},
            "studies.validity.models[0] names the unknown model of studies.adaptation 'llama-weak'; did you mean 'lla",
        ),
        (
            {"studies.validity.top": [1, 33, 2]},
            "studies.validity.top has 33, but models.llama has 32 heads in all: lower it.",
        ),
        (
            {
                "models.after": {"label": "x", "source": {"model": "opt", "run": "nlp.arc.seed0"}},
                "studies.adaptation.models": ["after"],
                "studies.validity.top": [33],
            },
            "studies.validity.top has 33, but models.after has 32 heads in all: lower it.",
        ),
        (
            {
                "models.opt": {
                    "label": "x",
                    "source": {"hub": "a/b", "revision": "c"},
                    "size": {"parameters": 10**6, "layers": 4, "heads": 3, "width": 12},
                }
            },
            "studies.validity.top has 16, but models.opt has 12 heads in all: lower it.",
        ),
        ({"studies.validity.top": []}, "studies.validity.top: [] should be non-empty."),
        ({"studies.validity.top": [0]}, "studies.validity.top[0]: 0 is less than the minimum of 1."),
        ({"studies.validity.tasks": []}, "studies.validity.tasks: [] should be non-empty."),
        ({"studies.validity.tasks": "arc"}, "studies.validity.tasks is 'arc': it must be of type array or null."),
        (
            {"sampling.probe": 3},
            "sampling.probe is 3, but studies.validity needs two for patterns and two for losses: raise it to 4",
        ),
        (
            {"datasets.arc.sampling": {"probe": 2}},
            "datasets.arc.sampling.probe is 2, but studies.validity needs two for patterns and two for losses: raise",
        ),
        ({"studies.validity.samples": 1}, "studies.validity.samples: 1 is less than the minimum of 2."),
        ({"studies.validity.sample": 3}, "studies.validity.sample is unknown; did you mean 'samples'?"),
        ({"studies.validity": ...}, "studies lacks 'validity': add it."),
        (
            {"device": "cuda", "resources.ablate_heads": {"gpu": 2}},
            "resources.ablate_heads.gpu is 2, but a job of ablate_heads computes on one GPU: set resources.ablate_head",
        ),
        (
            {"device": "cuda", "resources.default.gpu": 4},
            "resources.default.gpu is 4, but a job of ablate_heads computes on one GPU: set resources.ablate_heads.gpu",
        ),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_a_study_that_cannot_be_is_refused(config, changes, sentence):
    for path, value in changes.items():
        assign(config, path, value)
    assert complaint(config).startswith(f"config key {sentence}")


def test_the_study_may_be_left_out(config):
    config["studies"]["validity"] |= {"models": [], "top": [10**6]}
    config["sampling"]["probe"] = 2
    assert validity.runs(checked(config)) == []
