"""Heads moved between models: slices by hand, losses by plain transformers, shares by hand, the report, refusals."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import ranked_runs
import scripts
import tiny_models
import torch
from experiments import checked, config_of
from refusals import refusal
from transformers import AutoConfig, AutoModelForCausalLM

from headpatterns.data import samples as rows_of
from headpatterns.errors import InputError
from headpatterns.experiment import run_table
from headpatterns.io import write_csv
from headpatterns.models import families
from headpatterns.models import loading as models
from headpatterns.models.head_slices import change, known_slices, move, slices
from headpatterns.presentation import style
from headpatterns.presentation.results import Results
from headpatterns.statistics import estimate_and_interval
from headpatterns.studies.transplant import analysis, effects, figure, moved, section

SEPARATE = ("llama", "llama-grouped-query", "gemma-multi-query", "opt", "qwen3")
FUSED = ("gpt2", "gpt-neox", "phi3")
UNKNOWN = ("deepseek-small-values", "bloom", "falcon-grouped-query")


def pair(name):
    """Two models of one architecture."""
    return [tiny_models.build(name, seed) for seed in (0, 1)]


def weights(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def chosen(*places, shape=(3, 6)):
    heads = np.zeros(shape, dtype=bool)
    for place in places:
        heads[place] = True
    return heads


# The weights of a head -----------------------------------------------------------------------------------------------


def test_the_slices_of_a_head_by_hand():
    """Head 4 of layer 1 of six heads of size 4; its key and value are shared with heads 3 and 5."""
    old, new = pair("llama-grouped-query")
    before, after = weights(old), weights(new)
    move(old, after, slices(old), chosen((1, 4)))
    attention = old.model.layers[1].self_attn
    prefix = "model.layers.1.self_attn"
    changed = {name for name, weight in old.named_parameters() if not torch.equal(weight, before[name])}
    assert changed == {f"{prefix}.q_proj.weight", f"{prefix}.o_proj.weight"}
    for name, axis in (("q_proj", 0), ("o_proj", 1)):
        ours = getattr(attention, name).weight.movedim(axis, 0)
        theirs, own = (one[f"{prefix}.{name}.weight"].movedim(axis, 0) for one in (after, before))
        assert torch.equal(ours[16:20], theirs[16:20])
        assert torch.equal(torch.cat([ours[:16], ours[20:]]), torch.cat([own[:16], own[20:]]))
    move(old, after, slices(old), chosen((1, 3), (1, 4), (1, 5)))
    for name in ("k_proj", "v_proj"):
        ours, theirs, own = (one[f"{prefix}.{name}.weight"] for one in (weights(old), after, before))
        assert torch.equal(ours[4:], theirs[4:]) and torch.equal(ours[:4], own[:4])


@pytest.mark.parametrize("name", [*SEPARATE, *FUSED])
def test_a_head_alone_is_what_its_output_depends_on(name):
    """If one head, or one group that shares keys, moves, only its outputs change before the output projection."""
    old, new = pair(name)
    ids = torch.tensor([[1, 7, 3, 9, 12, 4]])
    outputs = {}

    def watch(model):
        attention = next(module for module in model.modules() if type(module).__name__.endswith("Attention"))
        last = next(
            getattr(attention, one) for one in ("o_proj", "out_proj", "c_proj", "dense") if hasattr(attention, one)
        )
        hook = last.register_forward_pre_hook(lambda _, given: outputs.__setitem__("found", given[0].detach()))
        with torch.no_grad():
            model(input_ids=ids)
        hook.remove()
        return outputs["found"].reshape(6, 6, -1)  # positions, heads, size

    alone = watch(old)
    group = {"gemma-multi-query": range(6), "llama-grouped-query": (0, 1, 2), "qwen3": (0, 1)}.get(name, (0,))
    move(old, weights(new), slices(old), chosen(*((0, head) for head in group)))
    difference = (watch(old) - alone).abs().amax(dim=(0, 2)) > 1e-6
    assert difference.tolist() == [head in group for head in range(6)]


@pytest.mark.parametrize("name", [*SEPARATE, *FUSED])
def test_all_heads_and_the_rest_are_the_other_model(name):
    old, new = pair(name)
    after, divided = weights(new), slices(old)
    move(old, after, divided, np.ones((3, 6), dtype=bool))
    names = {one.name for one in divided}
    for parameter, weight in old.named_parameters():
        assert torch.equal(weight, after[parameter]) == (parameter in names or torch.equal(weight, after[parameter]))
    assert all(torch.equal(weights(old)[one.name], after[one.name]) for one in divided)
    with torch.no_grad():
        for parameter, weight in old.named_parameters():
            if parameter not in names:
                weight.copy_(after[parameter])
    ids = torch.tensor([[1, 7, 3, 9]])
    with torch.no_grad():
        assert torch.equal(old(input_ids=ids).logits, new(input_ids=ids).logits)


def test_the_change_of_weights_by_hand():
    old, new = pair("llama-grouped-query")
    before, after = weights(old), weights(new)
    found = change(before, after, slices(old), 6)
    attention = "model.layers.2.self_attn"
    difference = {name: (after[f"{attention}.{name}_proj.weight"] - before[f"{attention}.{name}_proj.weight"]).double()
                  for name in "qkvo"}  # fmt: skip
    parts = [difference["q"][20:24], difference["o"][:, 20:24], difference["k"][4:], difference["v"][4:]]
    assert found[2, 5] == pytest.approx(float(sum(part.square().sum() for part in parts)) ** 0.5)
    assert found.shape == (3, 6)
    parameters = [dict(model.named_parameters()) for model in (old, new)]
    for one in parameters:
        for parameter in one.values():
            parameter.requires_grad_()
    np.testing.assert_array_equal(change(*parameters, slices(old), 6), found)
    elsewhere = {name: Elsewhere(parameter) for name, parameter in parameters[1].items()}
    np.testing.assert_array_equal(change(parameters[0], elsewhere, slices(old), 6), found)


class Elsewhere:
    """A parameter on another device, which must be copied to the CPU before it is compared."""

    def __init__(self, parameter):
        self.parameter = parameter

    def detach(self):
        return self

    def cpu(self):
        return self.parameter.detach()


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_to_be_divided_is_refused(name):
    model = tiny_models.build(name)
    with pytest.raises(InputError, match=r"it is unknown how .* divides the weights of its attention among heads"):
        slices(model)
    assert model.config.model_type in families.UNDIVIDED


@pytest.mark.parametrize("further", [{}, {"num_global_key_value_heads": 1}])
def test_layers_that_share_keys_and_values_each_in_its_own_way_are_not_known(further):
    """Gemma 4 may use keys as values in some layers, and have another number of key heads there."""
    config = AutoConfig.for_model(
        **{**tiny_models.GATED, "num_hidden_layers": 2, "num_key_value_heads": 2, "head_dim": 4},
        model_type="gemma4_text", hidden_size_per_layer_input=8, vocab_size_per_layer_input=50,
        layer_types=["sliding_attention", "full_attention"], num_kv_shared_layers=0, attention_k_eq_v=True, **further,
    )  # fmt: skip
    assert known_slices(AutoModelForCausalLM.from_config(config)) is None


# The job -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def given(tmp_path, model_folder, rows):
    """A run with patterns and ablations, and the options of the script."""
    return ranked_runs.options(tmp_path, model_folder, rows) | {"output": [tmp_path / "out.csv"], "size": [2, 5]}


def loss_of(model, sample):
    """The loss of a tokenized sample, by the model itself."""
    with torch.no_grad():
        found = model(input_ids=torch.tensor([sample.input_ids]), labels=torch.tensor([sample.labels])).loss
    return float(found)


def test_moved_heads_are_those_that_rank_highest(given, rows):
    scripts.run("transplant_heads", **given)
    found = moved.read(given["output"][0])
    assert found.heads == 18 and found.sizes == [2, 5] and found.draws == [0, 1] and len(found.ids) == 4
    assert found.rankings == ["change", "pattern", "effect", "weights", "random"]
    old, new = (models.load_model(folder) for folder in (given["model"], given["run"][0] / "final"))
    made, _ = rows_of.tokenized(models.load_tokenizer(given["model"]), rows, 256, "rows", skip=False)
    measured = [sample for sample in made if sample.id in found.ids]
    others = np.array([row["id"] not in found.ids for row in rows])
    before, after = weights(old), weights(new)
    # Without moved heads, the losses are those of the base model and those of the run.
    np.testing.assert_allclose(
        found.at("transplant", "change", 0, 0), [loss_of(old, one) for one in measured], rtol=1e-5
    )
    np.testing.assert_allclose(found.at("revert", "change", 0, 0), [loss_of(new, one) for one in measured], rtol=1e-5)
    patterns = [np.load(given["patterns"][0] / f"step-{step}.samples.npy")[others].mean(axis=0) for step in (0, 3)]
    effect = np.abs(np.load(given["ablations"][0] / "after.changes.npy")[others].mean(axis=0))
    scores = {"change": np.abs(patterns[1] - patterns[0]), "pattern": patterns[1], "effect": effect,
              "weights": change(before, after, slices(old), 6)}  # fmt: skip
    for ranking, k in product(scores, (2, 5)):
        first = [np.unravel_index(place, (3, 6)) for place in np.argsort(-scores[ranking].ravel())[:k]]
        for direction, model, theirs, own in (("transplant", old, after, before), ("revert", new, before, after)):
            move(model, theirs, slices(model), chosen(*first))
            expected = [loss_of(model, sample) for sample in measured]
            move(model, own, slices(model), np.ones((3, 6), dtype=bool))
            np.testing.assert_allclose(found.at(direction, ranking, 0, k), expected, rtol=1e-5)
    with torch.no_grad():
        for name, weight in new.named_parameters():
            if name not in {one.name for one in slices(new)}:
                weight.copy_(before[name])
    np.testing.assert_allclose(
        found.at("transplant", "weights", 0, 18), [loss_of(new, one) for one in measured], rtol=1e-5
    )
    assert not np.array_equal(found.at("transplant", "random", 0, 2), found.at("transplant", "random", 1, 2))


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"size": [2, 19]}, "--size has 19, but .* has 3 layers of 6 heads: give at most 18"),
        ({"ablations": None}, "give as many --ablations as --run if --ranking has effect"),
        ({"output": ["a", "b"]}, "give as many --data, --patterns and --output as --run"),
        ({"draws": 0}, "--draws is 0: give 1 or more"),
    ],
)
def test_options_that_cannot_be(given, change, hint):
    with pytest.raises(InputError, match=hint):
        scripts.run("transplant_heads", **{**given, **change})


# Shares --------------------------------------------------------------------------------------------------------------


def write_table(path, losses, heads=8):
    """Write a table of losses [samples] by choice of heads."""
    write_csv(path, moved.COLUMNS, [
        (direction, ranking, draw, k, heads, f"s{n}", loss)
        for (direction, ranking, draw, k), of_samples in losses.items()
        for n, loss in enumerate(of_samples)
    ])  # fmt: skip


def losses_of(base, tuned, carried, random=(0.1, 0.3)):
    """Losses with the given shares of the gain: for the two heads that changed most, and for all eight."""
    base, tuned = np.asarray(base), np.asarray(tuned)
    gain = base - tuned
    found = {("transplant", "none", 0, 0): base, ("revert", "none", 0, 0): tuned}
    for k, ranking, share in ((2, "change", carried[0]), (8, "none", carried[1])):
        found["transplant", ranking, 0, k] = base - share * gain
        found["revert", ranking, 0, k] = tuned + (share / 2) * gain
    for draw, share in enumerate(random):
        found["transplant", "random", draw, 2] = base - share * gain
        found["revert", "random", draw, 2] = tuned + share * gain
    return found


@pytest.fixture
def experiment(tmp_path):
    """Two tasks of a model with two seeds; two heads have the shares 0.4 and 0.6, and all heads 0.7 and 0.9."""
    named, paths, table = [], [], []
    for n, (task, seed) in enumerate(product(("gsm8k", "arc"), (0, 1))):
        base = 3 + np.random.default_rng(n).random(12)
        carried = (0.4, 0.7) if task == "gsm8k" else (0.6, 0.9)
        paths.append(tmp_path / f"{task}{seed}.csv")
        write_table(paths[-1], losses_of(base, base - 1 - np.random.default_rng(9 + n).random(12), carried))
        named.append(["big", task, seed])
        run = f"nlp.{task}.seed{seed}"
        table.append(("adaptation", "nlp", "big", "Big & co", task, task.upper(), "", "basic", seed, run, "patterns"))
    write_csv(tmp_path / "runs.csv", run_table.COLUMNS, table)
    return tmp_path, paths, named


def test_shares_by_hand(experiment):
    _, paths, named = experiment
    found = analysis.compute(paths, named, 50, 0)["shares"]
    rows = pd.DataFrame(list(found.rows), columns=list(found.columns)).set_index(
        ["task", "direction", "ranking", "seed"]
    )
    assert len(rows) == (4 + 2 + 1) * 2 * 4
    one = rows.loc[("gsm8k", "transplant", "change", 0)]
    assert (one["value"], one["low"], one["high"], one["k"]) == pytest.approx((0.4, 0.4, 0.4, 2))
    assert rows.loc[("*", "transplant", "change", "*"), "value"] == pytest.approx(0.5)
    assert rows.loc[("*", "revert", "change", "*"), "value"] == pytest.approx(0.25)
    assert rows.loc[("*", "transplant", "all heads", "*"), "value"] == pytest.approx(0.8)
    # Moving everything else into the base model equals reverting all heads: it loses what the heads carry.
    assert rows.loc[("*", "transplant", "everything else", "*"), "value"] == pytest.approx(1 - 0.4)
    assert rows.loc[("*", "revert", "everything else", "*"), "value"] == pytest.approx(1 - 0.8)
    random = rows.loc[("arc", "transplant", "random", "*")]
    assert (random["value"], random["least_draw"], random["largest_draw"]) == pytest.approx((0.2, 0.1, 0.3))
    losses = moved.read(paths[0])
    expected = (losses.at("transplant", "none", 0, 0) - losses.at("revert", "none", 0, 0)).mean()
    assert rows.loc[("gsm8k", "transplant", "change", 0), "gain"] == pytest.approx(expected)


def test_a_share_is_a_ratio_of_means_with_its_bootstrap(tmp_path):
    random = np.random.default_rng(0)
    base, tuned, some = 3 + random.random(20), 1 + random.random(20), 2 + random.random(20)
    found = losses_of(base, tuned, (0.5, 0.9))
    found["transplant", "change", 0, 2] = some
    write_table(tmp_path / "a.csv", found)
    one = moved.read(tmp_path / "a.csv")
    weights_ = moved.weights_of(one, "arc", 400, 0)
    share = one.share(("transplant", "change", 0, 2), weights_)
    assert share[0] == pytest.approx((base - some).mean() / (base - tuned).mean())
    low, high = estimate_and_interval(share)[1:]
    residuals = (base - some) - share[0] * (base - tuned)
    error = residuals.std(ddof=1) / np.sqrt(20) / (base - tuned).mean()  # of a ratio, by the delta method
    assert (high - low) == pytest.approx(2 * 1.96 * error, rel=0.25)


def test_a_run_that_gains_nothing_has_no_share(tmp_path):
    write_table(tmp_path / "a.csv", losses_of([1.0, 2.0], [1.5, 2.5], (0.5, 0.9)))
    found = moved.read(tmp_path / "a.csv")
    assert np.isnan(found.share(("transplant", "change", 0, 2), moved.weights_of(found, "arc", 10, 0))).all()


def test_effects_by_hand(experiment):
    folder, paths, named = experiment
    found = {one.name: one.effect for one in effects.measure(folder / "runs.csv", paths, named, 50, 0)}
    assert set(found) == {"heads_carry", "changed_heads_beat_random"}  # weights were not ranked
    assert found["heads_carry"].plain == pytest.approx(0.8) and "draws" not in found["heads_carry"].varies
    assert found["changed_heads_beat_random"].plain == pytest.approx(0.5 - 0.2)
    draws = next(one for one in found["changed_heads_beat_random"].components if one.source == "draws")
    assert draws.variance == pytest.approx(np.var([0.1, 0.3], ddof=1) / 2) and draws.df == 1


@pytest.mark.parametrize(
    ("spoil", "hint"),
    [
        (lambda rows: rows[:0], "has no losses"),
        (lambda rows: rows[:-1], "lacks samples for a choice of heads"),
        (lambda rows: rows.assign(loss="much"), "not a choice of heads with a loss"),
        (lambda rows: rows[rows["k"] != 8], "lacks samples for a choice of heads"),
        (lambda rows: rows.assign(loss=np.inf), "not finite"),
    ],
)
def test_a_faulty_table_is_refused(tmp_path, spoil, hint):
    path = tmp_path / "a.csv"
    write_table(path, losses_of([2.0, 3.0], [1.0, 1.5], (0.5, 0.9)))
    spoil(pd.read_csv(path)).to_csv(path, index=False)
    with refusal(str(path), hint):
        moved.read(path)


def test_runs_of_a_model_are_moved_alike(tmp_path):
    write_table(tmp_path / "a.csv", losses_of([2.0, 3.0], [1.0, 1.5], (0.5, 0.9)))
    write_table(tmp_path / "b.csv", losses_of([2.0, 3.0], [1.0, 1.5], (0.5, 0.9), random=(0.1, 0.2, 0.3)))
    with refusal(str(tmp_path / "b.csv"), "different choices of heads"):
        moved.read_all([tmp_path / "a.csv", tmp_path / "b.csv"], [["big", "arc", 0], ["big", "arc", 1]])


# The config and what readers see -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "key", "hint"),
    [
        ({"sizes": [1, 64]}, "studies.transplant.sizes", "models.llama has 32 heads"),
        ({"seeds": [1]}, "studies.transplant.rankings", "studies.validity does not ablate"),
        ({"tasks": ["arcs"]}, "studies.transplant.tasks[0]", "arc"),
        ({"rankings": ["size"]}, "studies.transplant.rankings[0]", "change"),
    ],
)
def test_settings_that_cannot_be(change, key, hint):
    config = config_of()
    config["studies"]["transplant"] |= {"models": ["llama"], **change}
    with pytest.raises(InputError) as said:
        checked(config)
    assert any(key in line and hint in line for line in str(said.value).splitlines()), said.value


def test_a_model_whose_weights_are_not_divided_is_refused_before_anything_starts():
    config = config_of()
    config["studies"]["transplant"] |= {"models": ["llama"]}
    config["pretraining"]["llama"]["architecture"]["model_type"] = "persimmon"
    with pytest.raises(InputError, match=r"studies\.transplant\.models takes 'llama' of the type 'persimmon'"):
        checked(config)


def test_figure_and_section(experiment, tmp_path):
    folder, paths, named = experiment
    for name in ("analysis", "figures"):
        (folder / name).mkdir()
    table = analysis.compute(paths, named, 50, 0)["shares"]
    write_csv(folder / "analysis/transplant.csv", table.columns, table.rows)
    with style.applied():
        drawn = figure.figures(folder / "runs.csv", folder / "analysis/transplant.csv")["figure_transplant"]
        style.save(drawn, folder / "figures/figure_transplant")
    left = drawn.axes[0]
    curve = next(line for line in left.lines if line.get_color() == style.LINE_COLOURS[0])
    assert list(curve.get_xdata()) == [2, 8] and list(curve.get_ydata()) == pytest.approx([0.5, 0.8])
    [page] = section.section(Results(folder))
    assert "Big &amp; co: the mean gain over tasks is" in page.body and "All 8 heads carry 0.80" in page.body
    assert "GSM8K" in page.body
