"""Signed sums of Eq. 2, several reductions from one pass, and the signed sum from the output projection."""

import json

import numpy as np
import pytest
import scripts
import torch
from test_attribution import assert_equal, make_samples, textbook
from tiny_models import ARCHITECTURES, build

from headpatterns.attribution import REDUCTIONS, activation_patterns, files, passes
from headpatterns.attribution.parts import Parts
from headpatterns.data import batching
from headpatterns.errors import InputError

# The weight of the output projection of a layer as [heads · head size, hidden]; it multiplies o.
PROJECTIONS = {
    "llama-grouped-query": lambda model, layer: model.model.layers[layer].self_attn.o_proj.weight.T,
    "gemma-multi-query": lambda model, layer: model.model.layers[layer].self_attn.o_proj.weight.T,
    "opt": lambda model, layer: model.model.decoder.layers[layer].self_attn.out_proj.weight.T,
    "gpt2": lambda model, layer: model.transformer.h[layer].attn.c_proj.weight,
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_sign_is_that_of_the_textbook_procedure(name, monkeypatch):
    monkeypatch.setattr(batching, "PADDING", 100)  # all lengths in one batch
    model, samples = build(name), make_samples()
    expected, _ = textbook(model, samples, "signed")
    assert (expected > 0).any() and (expected < 0).any()
    for token_budget in (1, 10_000):
        found = activation_patterns(model, samples, token_budget=token_budget)
        assert_equal(found.signed, expected)
        np.testing.assert_array_equal(found.values, np.abs(found.signed))
        np.testing.assert_allclose(found.mean, np.abs(expected).mean(axis=0), rtol=1e-4)


@pytest.mark.parametrize("name", ["llama-grouped-query", "opt", "gpt-oss-attention-sinks"])
def test_several_reductions_of_one_pass_equal_each_alone(name):
    model, samples = build(name), make_samples()
    passed = []
    model.get_decoder().register_forward_hook(lambda *given: passed.append(given))
    together = activation_patterns(model, samples, also=["sum_of_abs", "abs_per_position"], token_budget=20)
    count = len(passed)
    for reduction in REDUCTIONS:
        passed.clear()
        alone = activation_patterns(model, samples, reduction=reduction, token_budget=20)
        assert len(passed) == count
        np.testing.assert_array_equal(together.by(reduction), alone.values)
        np.testing.assert_array_equal(together.losses, alone.losses)
    assert (together.reduction, together.also) == ("abs_of_sum", ["sum_of_abs", "abs_per_position"])
    assert (together.values <= together.by("abs_per_position") * (1 + 1e-5)).all()
    assert (together.by("abs_per_position") <= together.by("sum_of_abs") * (1 + 1e-5)).all()


def test_a_reduction_that_was_not_asked_for_is_refused():
    found = activation_patterns(build("opt"), make_samples(), reduction="sum_of_abs")
    assert found.values.shape == (5, 3, 6)
    with pytest.raises(InputError, match=r"have no 'abs_of_sum' .only sum_of_abs.: ask for it with reduction or also"):
        _ = found.signed
    with pytest.raises(InputError, match="the reduction 'sum_of_abs' is named twice: name it once"):
        activation_patterns(build("opt"), make_samples(), reduction="sum_of_abs", also=["sum_of_abs"])


@pytest.mark.parametrize("name", PROJECTIONS)
def test_the_signed_sum_is_the_projection_s_weight_times_its_gradient(name):
    """Σ_ij A_ij G_ij = <W_O of the head, ∂L/∂W_O of the head>, with the usual training gradient of each sample."""
    model, samples = build(name), make_samples()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))  # biases that are not 0
    found = activation_patterns(model, samples).signed
    model = model.double()
    for sample, of_sample in zip(samples, found, strict=True):
        model.zero_grad()
        model(input_ids=torch.tensor([sample.input_ids]), labels=torch.tensor([sample.labels])).loss.backward()
        for layer in range(3):
            weight = PROJECTIONS[name](model, layer)
            parameter = weight if weight.is_leaf else weight._base
            gradient = parameter.grad if weight.is_leaf else parameter.grad.T
            products = (weight * gradient).detach().unflatten(0, (6, -1)).sum(dim=(1, 2)).numpy()
            assert np.abs(products).min() > 0
            np.testing.assert_allclose(of_sample[layer], products, rtol=1e-5, atol=1e-5 * np.abs(products).max())


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def data(rows, tmp_path):
    path = tmp_path / "probe.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def arrays(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.npy")}


def test_each_reduction_has_its_file(model_folder, data, rows, tmp_path):
    options = {"model": model_folder, "data": data, "token_budget": 300}
    for reduction in REDUCTIONS:
        output = tmp_path / f"{reduction}.alone" / "step-0.npy"
        scripts.run("extract_patterns", **options, output=output, reduction=reduction)
        assert sorted(arrays(output.parent)) == ["step-0.npy", "step-0.samples.npy"]
    output = tmp_path / "together" / "step-0.npy"
    also = ["abs_per_position", "abs_of_sum"]
    scripts.run("extract_patterns", **options, output=output, reduction="sum_of_abs", also=also)
    assert files.about(output.parent, 0).also == tuple(also)
    for reduction, suffix in {"sum_of_abs": "", "abs_of_sum": ".abs_of_sum"}.items():
        alone = (tmp_path / f"{reduction}.alone" / "step-0.samples.npy").read_bytes()
        assert (output.parent / f"step-0{suffix}.samples.npy").read_bytes() == alone
    content = json.loads(output.with_suffix(".json").read_text())
    assert (content["reduction"], content["also"], content["signed"]) == ("sum_of_abs", also, ["abs_of_sum"])
    # A later extraction of fewer reductions leaves no file of the others.
    scripts.run("extract_patterns", **options, output=output, reduction="abs_of_sum")
    assert arrays(output.parent) == arrays(tmp_path / "abs_of_sum.alone")


def test_an_interrupted_extraction_of_several_reductions_goes_on(model_folder, data, rows, tmp_path, monkeypatch):
    options = {"model": model_folder, "data": data, "token_budget": 1, "also": ["sum_of_abs"]}
    scripts.run("extract_patterns", **options, output=tmp_path / "whole" / "out.npy")
    run, calls = passes.backward, []

    def failing(*given):
        calls.append(given)
        if len(calls) == 4:
            raise RuntimeError("the machine is gone")
        return run(*given)

    output = tmp_path / "resumed" / "out.npy"
    with monkeypatch.context() as patched:
        patched.setattr(passes, "backward", failing)
        with pytest.raises(RuntimeError, match="gone"):
            scripts.run("extract_patterns", **options, output=output)
    kept = Parts(output.parent / "out.npy.unfinished" / "parts", 60)
    assert len(kept.done) == 3 and kept.found[0][1].shape[1:] == (2, 3, 6)
    scripts.run("extract_patterns", **options, output=output)
    assert sorted(arrays(output.parent)) == ["out.npy", "out.samples.npy", "out.sum_of_abs.samples.npy"]
    assert arrays(output.parent) == arrays(tmp_path / "whole")


def test_a_reduction_named_twice_is_refused(capfd, monkeypatch, model_folder, data, tmp_path):
    options = {"model": model_folder, "data": data, "output": tmp_path / "out.npy"}
    said = scripts.refused(capfd, monkeypatch, "extract_patterns", **options, also=["abs_of_sum"])
    assert "--reduction and --also name abs_of_sum twice: name each reduction once" in said
