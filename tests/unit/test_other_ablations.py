"""Mean and resample ablation, doses and head scores, compared with short code that hooks the output projections."""

import numpy as np
import pytest
import torch
from test_attribution import make_samples
from tiny_models import build
from transformers import AttentionInterface

from headpatterns.attribution import boole, gates, replacement, scoring
from headpatterns.attribution import scores as registry
from headpatterns.attribution.ablation import ablated_losses
from headpatterns.attribution.interface import NAME
from headpatterns.attribution.scores.score import Score
from headpatterns.data.tokens import IGNORED
from headpatterns.errors import InputError
from headpatterns.models import head_slices

LAYERS, HEADS = 3, 6
PROJECTIONS = {"opt": lambda model: [layer.self_attn.out_proj for layer in model.model.decoder.layers]}
SCORES = registry.names()


def projections(name, model):
    """The modules whose input is the outputs of all heads, concatenated."""
    return PROJECTIONS.get(name, lambda model: [layer.self_attn.o_proj for layer in model.model.layers])(model)


def loss(model, sample):
    """The loss by the model's own forward pass."""
    return model(input_ids=torch.tensor([sample.input_ids]), labels=torch.tensor([sample.labels])).loss


def outputs(name, model, sample):
    """The input of each projection, [layers, positions, heads, size]."""
    seen = []
    hooks = [one.register_forward_pre_hook(lambda _, given: seen.append(given[0][0].detach()))
             for one in projections(name, model)]  # fmt: skip
    with torch.no_grad():
        loss(model, sample)
    for hook in hooks:
        hook.remove()
    return torch.stack(seen).unflatten(2, (HEADS, -1))


def loss_with(name, model, sample, layer, change):
    """The loss when `change` replaces the head outputs of one layer, [1, positions, heads, size]."""

    def hook(module, given):
        return (change(given[0].unflatten(2, (HEADS, -1)).clone()).flatten(2),)

    handle = projections(name, model)[layer].register_forward_pre_hook(hook)
    try:
        return loss(model, sample)
    finally:
        handle.remove()


def put(head, values):
    def change(output):
        output[0, :, head] = values
        return output

    return change


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llama-grouped-query", "opt"])
@torch.no_grad()
def test_heads_are_replaced_by_their_mean_and_by_other_samples(name):
    model, made = build(name), make_samples()
    of_samples = [outputs(name, model, sample) for sample in made]
    means = torch.cat(of_samples, dim=1).mean(dim=1)  # [layers, heads, size]
    found = {}
    for budget in (40, 10_000):
        found = replacement.replaced_changes(model, made, ["mean", "resample"], 2, "7", token_budget=budget)
        assert found["mean"].shape == (len(made), LAYERS, HEADS)
        assert found["resample"].shape == (2, len(made), LAYERS, HEADS)
        for n, sample in enumerate(made):
            base, length = loss(model, sample).item(), len(sample.input_ids)
            for layer, head in ((0, 1), (1, 5), (2, 3)):
                mean = loss_with(name, model, sample, layer, put(head, means[layer, head])).item() - base
                assert found["mean"][n, layer, head] == pytest.approx(mean, abs=2e-6)
                for draw in range(2):
                    other = of_samples[replacement.donors([one.id for one in made], 2, "7")[draw][n]][layer, :, head]
                    values = torch.stack([other[t if t < len(other) else 1 + (t - 1) % (len(other) - 1)]
                                          for t in range(length)])  # fmt: skip
                    change = loss_with(name, model, sample, layer, put(head, values)).item() - base
                    assert found["resample"][draw, n, layer, head] == pytest.approx(change, abs=2e-6)
    assert np.abs(found["mean"]).max() > 1e-3 and np.abs(found["resample"]).max() > 1e-3
    assert model.config._attn_implementation == "sdpa" and NAME not in AttentionInterface._global_mapping


def test_donors_are_others_each_once_and_depend_on_ids_alone():
    ids = [f"s{n}" for n in range(9)]
    drawn = replacement.donors(ids, 8, "3")
    assert all({one[place] for one in drawn} == set(range(9)) - {place} for place in range(9))
    assert replacement.donors(ids, 2, "3") == drawn[:2] != replacement.donors(ids, 2, "4")
    names = [[ids[other] for other in one] for one in replacement.donors(ids, 2, "3")]
    turned = [[ids[8 - other] for other in reversed(one)] for one in replacement.donors(ids[::-1], 2, "3")]
    assert names == turned
    assert replacement.donors(["a", "b"], 1, "0") == [[1, 0]]
    with pytest.raises(InputError, match="outputs of 1 other, but there is one sample"):
        replacement.donors(["a"], 1, "0")
    with pytest.raises(InputError, match="outputs of 3 others, but there are 3 samples"):
        replacement.donors(["a", "b", "c"], 3, "0")


def test_a_shorter_donor_is_gone_through_again_from_its_second_position():
    assert replacement.positions_of(4, 9) == [0, 1, 2, 3, 1, 2, 3, 1, 2]
    assert replacement.positions_of(9, 4) == [0, 1, 2, 3]
    assert replacement.positions_of(1, 3) == [0, 0, 0] and replacement.positions_of(2, 4) == [0, 1, 1, 1]


@torch.no_grad()
def test_the_mean_of_a_constant_output_changes_nothing():
    """With zero weights, values do not depend on the token: a head gives its bias at every position."""
    model, made = build("opt"), make_samples()
    model.model.decoder.layers[1].self_attn.v_proj.weight.zero_()
    model.model.decoder.layers[1].self_attn.v_proj.bias.normal_()
    found = replacement.replaced_changes(model, made, ["mean"], 1, "0")["mean"]
    np.testing.assert_allclose(found[:, 1], 0, atol=2e-6)
    assert np.abs(found[:, 2]).max() > 1e-4
    zeroed = ablated_losses(model, made, 1 - np.eye(18)[6:12].reshape(-1, LAYERS, HEADS))
    assert np.abs(zeroed - ablated_losses(model, made, np.ones((1, LAYERS, HEADS)))).max() > 1e-4


def test_doses_and_slopes_are_those_of_a_hook_and_their_integral_is_what_zero_ablation_measures():
    name, made = "llama-grouped-query", make_samples()
    model = build(name)
    response = gates.dose_response(model, made, token_budget=60)
    assert response.changes.shape == response.slopes.shape == (5, len(made), LAYERS, HEADS)
    assert (response.changes[-1] == 0).all()  # at s = 1 nothing has changed
    for n, layer, head in ((0, 0, 2), (3, 2, 5)):
        for place, dose in enumerate(gates.DOSES):
            gate = torch.ones(HEADS)
            gate[head] = dose
            gate.requires_grad_()
            at = loss_with(name, model, made[n], layer, lambda output, gate=gate: output * gate[:, None])
            [slope] = torch.autograd.grad(at, gate)
            change = at.item() - loss(model, made[n]).item()
            assert response.changes[place, n, layer, head] == pytest.approx(change, abs=2e-6)
            assert response.slopes[place, n, layer, head] == pytest.approx(slope[head].item(), rel=1e-3, abs=2e-6)
    losses = ablated_losses(model, made, np.concatenate([np.ones((1, 18)), 1 - np.eye(18)]).reshape(-1, LAYERS, HEADS))
    zero = (losses[1:] - losses[0]).T.reshape(-1, LAYERS, HEADS)
    np.testing.assert_allclose(response.changes[0], zero, atol=2e-6)
    signed = scoring.scored(model, made, [], None, token_budget=60).patterns.signed
    np.testing.assert_allclose(response.slopes[-1], signed, rtol=1e-4, atol=1e-6)


def test_the_rule_is_exact_for_polynomials_of_degree_five():
    for count in (5, 9, 33):
        doses = np.linspace(0, 1, count)
        for degree in range(6):
            assert boole.integrated(doses**degree) == pytest.approx(1 / (degree + 1))
    assert abs(boole.integrated(np.array(boole.DOSES) ** 6) - 1 / 7) > 1e-4


def test_the_integral_over_a_gate_is_what_zero_ablation_measures_up_to_the_rule():
    """L(1) − L(0) = ∫ dL/ds ds. Losses of random models are steep in s: five doses leave an error, 33 almost none."""
    model, made, gaps = build("llama-grouped-query"), make_samples()[:1], {}
    for count in (5, 9, 33):
        response = gates.dose_response(model, made, doses=np.linspace(0, 1, count).tolist())
        gaps[count] = np.abs(boole.integrated(response.slopes) + response.changes[0]).max()
    effects = np.abs(response.changes[0]).max()
    assert gaps[5] < 0.1 * effects and gaps[9] < gaps[5] / 2 and gaps[33] < 1e-4 * effects


def test_integrated_gates_scale_a_layer_together():
    name, made = "llama-grouped-query", make_samples()[:2]
    model = build(name)
    found = gates.integrated_gates(model, made)
    fine = gates.integrated_gates(model, made, doses=np.linspace(0, 1, 33).tolist())
    for n, sample in enumerate(made):
        for layer in range(LAYERS):
            slopes = []
            for dose in gates.DOSES:
                gate = torch.full((HEADS,), dose, requires_grad=True)
                at = loss_with(name, model, sample, layer, lambda output, gate=gate: output * gate[:, None])
                slopes.append(torch.autograd.grad(at, gate)[0].numpy())
            np.testing.assert_allclose(found[n, layer], boole.integrated(np.array(slopes)), rtol=1e-3, atol=2e-6)
            # The heads of a layer together account for the whole effect of the layer on the loss.
            without = loss_with(name, model, sample, layer, lambda output: 0 * output).item()
            assert fine[n, layer].sum() == pytest.approx(loss(model, sample).item() - without, abs=1e-3)


# Scores ---------------------------------------------------------------------------------------------------------------


def by_hand(name, model, sample):
    """Scores of layers [layers, heads] from eager attention and hooks."""
    model.set_attn_implementation("eager")
    given = []
    hooks = [one.register_forward_pre_hook(lambda _, args: (args[0].retain_grad(), given.append(args[0]))[0])
             for one in projections(name, model)]  # fmt: skip
    found = model(input_ids=torch.tensor([sample.input_ids]), labels=torch.tensor([sample.labels]),
                  output_attentions=True)  # fmt: skip
    found.loss.backward()
    model.zero_grad()
    model.set_attn_implementation("sdpa")
    for hook in hooks:
        hook.remove()
    o = torch.stack([one[0].detach().unflatten(1, (HEADS, -1)) for one in given])
    d = torch.stack([one.grad[0].unflatten(1, (HEADS, -1)) for one in given])
    attention = torch.stack([one[0].detach() for one in found.attentions])
    first = next(place for place in range(1, len(sample.labels)) if sample.labels[place] != IGNORED)
    hits, wanted = torch.zeros(LAYERS, HEADS), 0
    for place in range(first, len(sample.labels)):
        if sample.labels[place] in sample.input_ids[:first]:
            wanted += 1
            for layer in range(LAYERS):
                for head in range(HEADS):
                    at = int(attention[layer, head, place - 1].argmax())
                    hits[layer, head] += at < first and sample.input_ids[at] == sample.labels[place]
    logs = torch.where(attention > 0, attention.clamp_min(1e-30).log(), 0)
    return {
        "gradient_norm": d.square().sum((1, 3)).sqrt(),
        "output_norm": o.square().sum((1, 3)).sqrt(),
        "norm_product": (o.norm(dim=3) * d.norm(dim=3)).sum(1),
        "attention_entropy": -(attention * logs).sum(3).mean(2),
        "retrieval": hits / max(1, wanted),
        "signed_sum": -(o * d).sum((1, 3)),
        "abs_per_position": (o * d).sum(3).abs().sum(1),
    }


@pytest.mark.parametrize("name", ["llama-grouped-query", "opt", "mistral-sliding-window"])
def test_scores_of_layers_are_those_of_eager_attention_and_hooks(name):
    model, made = build(name), repeating()[:3]
    names = [one for one in SCORES if one not in ("weight_change", "integrated_gate")]
    for budget in (1, 10_000):
        found = scoring.scored(model, made, names, None, token_budget=budget)
        assert set(found.values) == set(names) and not found.left_out
        for n, sample in enumerate(made):
            for score, expected in by_hand(name, model, sample).items():
                np.testing.assert_allclose(found.values[score][n], expected, rtol=2e-3, atol=1e-6, err_msg=score)
    assert found.values["retrieval"].max() > 0


def repeating():
    """Samples whose responses repeat tokens of their prompts."""
    made = make_samples()
    for sample in made:
        first = next(place for place in range(1, len(sample.labels)) if sample.labels[place] != IGNORED)
        for place in range(first, len(sample.labels)):
            if sample.labels[place] != IGNORED and place % 2:
                sample.labels[place] = sample.input_ids[place] = sample.input_ids[place % first]
    return made


SLICES = {
    "llama-grouped-query": "model.layers.1.self_attn",
    "opt": "model.decoder.layers.1.self_attn",
    "gpt2": "transformer.h.1.attn",
    "gpt-neox": "gpt_neox.layers.1.attention",
    "phi3": "model.layers.1.self_attn",
}


@pytest.mark.parametrize("name", SLICES)
@torch.no_grad()
def test_the_change_of_weights_is_that_of_what_each_head_owns(name):
    before, after = build(name), build(name)
    for key, weight in after.get_submodule(SLICES[name]).named_parameters():
        if "norm" not in key:
            weight += 0.1
    parts = [dict(model.named_parameters()) for model in (before, after)]
    divided = head_slices.slices(after)
    assert (head_slices.change(parts[0], parts[0], divided, HEADS) == 0).all()
    found = head_slices.change(*parts, divided, HEADS)
    assert (found[[0, 2]] == 0).all()
    for head in range(HEADS):
        entries = 0
        for one in divided:
            if one.layer == 1:
                owned = int((one.owners == head // one.shared).sum())
                entries += owned * parts[0][one.name].numel() // parts[0][one.name].shape[one.axis]
        assert found[1, head] == pytest.approx(0.1 * np.sqrt(entries), rel=1e-4)


@pytest.mark.parametrize("name", SLICES)
@torch.no_grad()
def test_slices_are_those_of_the_heads_whose_outputs_they_move(name):
    """A change to a slice of head 2 changes only the outputs of the heads that share the slice."""
    model, sample = build(name), make_samples()[0]
    for one in head_slices.slices(model):
        if one.layer != 1 or one.name.split(".")[-2] in head_slices.OUTPUTS:
            continue
        own = build(name)
        parameter = dict(own.named_parameters())[one.name]
        rows = torch.as_tensor(np.flatnonzero(one.owners == 2 // one.shared))
        parameter.index_copy_(one.axis, rows, 3 * parameter.index_select(one.axis, rows) + 0.5)
        was, now = (given_to_projection(each, SLICES[name], sample) for each in (model, own))
        moved = {head for head in range(HEADS) if not torch.allclose(was[:, head], now[:, head], atol=1e-6)}
        # A bias of the keys shifts all scores of a query equally, and the softmax ignores such a shift.
        assert moved == {head for head in range(HEADS) if head // one.shared == 2 // one.shared} or (
            one.name.endswith("k_proj.bias") and not moved
        )


def given_to_projection(model, place, sample):
    """The input of the output projection of an attention module, [positions, heads, size]."""
    attention, seen = model.get_submodule(place), []
    module = next(
        getattr(attention, name) for name in ("o_proj", "out_proj", "c_proj", "dense") if hasattr(attention, name)
    )
    hook = module.register_forward_pre_hook(lambda _, given: seen.append(given[0][0].clone()))
    loss(model, sample)
    hook.remove()
    return seen[0].unflatten(1, (HEADS, -1))


def test_an_architecture_whose_weights_are_not_split_by_head_is_left_out_by_name():
    model, made = build("deepseek-small-values"), make_samples()[:2]
    found = scoring.scored(model, made, ["weight_change", "output_norm"], lambda: model, token_budget=100)
    assert "DeepseekV3ForCausalLM" in found.left_out["weight_change"] and list(found.values) == ["output_norm"]
    found = scoring.scored(model, made, ["weight_change"], None, token_budget=100)
    assert "before fine-tuning" in found.left_out["weight_change"]


@pytest.mark.parametrize(
    ("score", "sentence"),
    [
        (Score(label="x", of_layer=lambda layer: layer.output.sum()), r"gives \[\] for a layer of 6 heads: its of_"),
        (Score(label="x", of_layer=lambda layer: 3.0), "gives float for a layer of 6 heads"),
        (Score(label="x", of_layer=lambda layer: layer.output.sum(dim=(0, 2)) * float("nan")),
         r"'x' of sample 's\d' is not finite in layer 2"),
        (Score(label="x", of_model=lambda given: np.ones((6, 3))),
         r"has the shape \[6, 3\] for a model of 3 layers of 6 heads on 5 samples: its of_model must give \[3, 6\] or"),
        (Score(label="x", of_model=lambda given: np.full((3, 6), np.inf)), "'x' of LlamaForCausalLM is not finite"),
        (Score(label="x"), "neither of_layer nor of_model"),
    ],
)  # fmt: skip
def test_a_score_of_another_shape_or_not_finite_is_one_sentence(score, sentence, monkeypatch):
    monkeypatch.setattr(registry, "found", lambda names: {"x": score})
    with pytest.raises(InputError, match=sentence) as refused:
        scoring.scored(build("llama-grouped-query"), make_samples(), ["x"], None, token_budget=100)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "score",
    [
        Score(label="x", of_layer=lambda layer: layer.output.sum(dim=(0, 2)) * 0),
        Score(label="x", of_model=lambda given: np.ones((3, 6))),
    ],
)
def test_a_score_that_is_the_same_for_all_heads_is_left_out_in_one_sentence(score, monkeypatch, capsys):
    monkeypatch.setattr(registry, "found", lambda names: {"x": score})
    found = scoring.scored(build("llama-grouped-query"), make_samples(), ["x"], None, token_budget=100)
    assert not found.values and list(found.left_out) == ["x"]
    sentence = "the score 'x' is left out: it is the same for all heads of LlamaForCausalLM on these samples, so it"
    assert sentence in capsys.readouterr().out


def test_a_model_that_attends_by_itself_has_no_scores():
    with pytest.raises(InputError, match=r"computes its attention itself.*studies\.head_scores\.models"):
        scoring.scored(build("bloom"), make_samples(), ["output_norm"], None, token_budget=100)


# The registry ---------------------------------------------------------------------------------------------------------


def test_a_file_dropped_into_the_folder_shows_up(tmp_path, monkeypatch):
    """The file is the example of at most twenty lines in docs/head-scores.md."""
    from project import PROJECT

    text = (PROJECT / "docs/head-scores.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    assert len(code.splitlines()) <= 20
    (tmp_path / "attention_to_first.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(registry, "__path__", [*registry.__path__, str(tmp_path)])
    assert "attention_to_first" in registry.names()
    model, made = build("llama-grouped-query"), make_samples()
    found = scoring.scored(model, made, ["attention_to_first"], None, token_budget=100).values["attention_to_first"]
    assert found.shape == (len(made), LAYERS, HEADS) and (found > 0).all() and (found <= 1).all()
    (tmp_path / "empty.py").write_text('"""Nothing."""\n')
    with pytest.raises(InputError, match=r"empty\.py defines no score: define SCORE as a Score in it"):
        registry.found(["empty"])
    with pytest.raises(InputError, match="unknown score 'entropy': use some of abs_of_sum, abs_per_position, att"):
        registry.found(["entropy"])


def test_every_score_is_registered_and_labelled():
    found = registry.found(SCORES)
    assert len({score.label for score in found.values()}) == len(found) == 11
    assert all((score.of_layer is None) != (score.of_model is None) for score in found.values())
