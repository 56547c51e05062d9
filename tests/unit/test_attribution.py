"""Eq. 2 against the textbook way: eager attention, `retain_grad` on the attention matrix, one sample at a time."""

import math
import random

import numpy as np
import pytest
import torch
from tiny_models import ARCHITECTURES, REFUSED, build
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from headpatterns.attribution import REDUCTIONS, activation_patterns
from headpatterns.attribution.interface import NAME
from headpatterns.attribution.passes import batches
from headpatterns.errors import InputError
from headpatterns.tokenization import TokenizedSample

LENGTHS = [(5, 3), (2, 9), (11, 1), (4, 4), (7, 6)]


def make_samples(seed: int = 0) -> list[TokenizedSample]:
    draw = random.Random(seed)
    return [
        TokenizedSample(f"s{n}", [draw.randrange(3, 50) for _ in range(prompt + response)], prompt, False)
        for n, (prompt, response) in enumerate(LENGTHS)
    ]


def textbook(model, samples, reduction):
    """Patterns [N, L, H] from the attention matrices themselves; and the losses."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    values, losses = [], []
    for sample in samples:
        inputs = torch.tensor([sample.input_ids])
        result = model(input_ids=inputs, labels=torch.tensor([sample.labels]), output_attentions=True)
        for attention in result.attentions:
            attention.retain_grad()
        result.loss.backward()
        products = [attention[0] * attention.grad[0] for attention in result.attentions]
        if reduction == "abs_of_sum":
            values.append([product.sum((1, 2)).abs().tolist() for product in products])
        elif reduction == "sum_of_abs":
            values.append([product.abs().sum((1, 2)).tolist() for product in products])
        else:
            values.append([product.sum(2).abs().sum(1).tolist() for product in products])
        losses.append(result.loss.item())
        model.zero_grad()
    model.set_attn_implementation(before)
    return np.array(values), np.array(losses)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in REFUSED])
def test_equals_the_textbook_procedure(name, reduction):
    model, samples = build(name), make_samples()
    expected, losses = textbook(model, samples, reduction)
    for token_budget in (1, 10_000):  # one sample a batch; all in one batch, padded
        found = activation_patterns(model, samples, reduction=reduction, token_budget=token_budget)
        assert found.values.shape == (5, 3, 6)
        for layer in range(3):
            scale = np.abs(expected[:, layer]).max()
            assert scale > 0
            np.testing.assert_allclose(found.values[:, layer], expected[:, layer], atol=1e-5 * scale, rtol=1e-5)
        np.testing.assert_allclose(found.losses, losses, rtol=1e-5)


def test_by_hand():
    """One layer whose value path is known: o is recomputed from A and V with plain matrix products."""
    model, sample = build("opt"), make_samples()[0]
    kept = {}

    def keep(module, query, key, value, mask, scaling=None, **_):
        scores = (query @ key.transpose(2, 3)) * scaling
        rows = scores.shape[2]
        A = scores.masked_fill(torch.ones(rows, rows).triu(1).bool(), -math.inf).softmax(-1)
        A.retain_grad()
        kept[module.layer_idx] = A
        return (A @ value).transpose(1, 2), None

    AttentionInterface.register("by_hand", keep)
    try:
        model.set_attn_implementation("by_hand")
        logits = model(input_ids=torch.tensor([sample.input_ids])).logits[0]
        start = sample.response_start
        loss = -sum(
            logits[position - 1].log_softmax(-1)[sample.input_ids[position]]
            for position in range(start, len(sample.input_ids))
        ) / (len(sample.input_ids) - start)
        loss.backward()
    finally:
        AttentionInterface._global_mapping.pop("by_hand")
        model.set_attn_implementation("sdpa")
    expected = torch.stack([(kept[layer] * kept[layer].grad)[0].sum((1, 2)).abs() for layer in range(3)])
    found = activation_patterns(model, [sample]).values[0]
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-4, atol=1e-7)


def test_independent_of_company_padding_and_order():
    model, samples = build("llama-grouped-query"), make_samples()
    reference = activation_patterns(model, samples, token_budget=10_000)
    order = [3, 0, 4, 2, 1]
    shuffled = activation_patterns(model, [samples[n] for n in order], token_budget=20)
    np.testing.assert_allclose(shuffled.values, reference.values[order], rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(shuffled.losses, reference.losses[order], rtol=1e-5)


def test_mean_is_the_pattern():
    found = activation_patterns(build("opt"), make_samples())
    np.testing.assert_allclose(found.mean, found.values.astype(np.float64).mean(axis=0), rtol=1e-6)
    assert found.mean.dtype == np.float32


@pytest.mark.parametrize("fails", [False, True])
def test_leaves_the_model_as_it_was(fails):
    model, samples = build("llama-grouped-query").train(), make_samples()
    frozen = model.model.layers[0].mlp.up_proj.weight.requires_grad_(False)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}

    def stop(done, total):
        if fails:
            raise RuntimeError("stopped")

    if fails:
        with pytest.raises(RuntimeError, match="stopped"):
            activation_patterns(model, samples, token_budget=20, progress=stop)
    else:
        activation_patterns(model, samples, token_budget=20, progress=stop)
    assert model.training
    assert model.config._attn_implementation == "sdpa"
    assert NAME not in AttentionInterface._global_mapping
    assert NAME not in AttentionMaskInterface._global_mapping
    assert not frozen.requires_grad
    for name, parameter in model.named_parameters():
        assert parameter.grad is None
        assert parameter.requires_grad == (parameter is not frozen)
        assert torch.equal(parameter, before[name])


def test_progress_reaches_the_end():
    seen = []
    activation_patterns(build("opt"), make_samples(), token_budget=20, progress=lambda *at: seen.append(at))
    assert seen[-1] == (5, 5)
    assert len(seen) > 1


@pytest.mark.parametrize("budget", [1, 12, 30, 1000])
def test_batches_keep_the_budget(budget):
    lengths = [5, 9, 3, 9, 1, 12, 7]
    found = list(batches(lengths, budget))
    assert sorted(index for batch in found for index in batch) == list(range(7))
    for batch in found:
        assert len(batch) == 1 or max(lengths[n] for n in batch) * len(batch) <= budget


def test_no_response_token_is_refused():
    bad = TokenizedSample("too-long", [5, 6, 7], 3, True)
    with pytest.raises(InputError, match="sample 'too-long' has no response token"):
        activation_patterns(build("opt"), [*make_samples(), bad])


def test_beyond_the_positions_is_refused():
    bad = TokenizedSample("endless", [5] * 65, 3, False)
    with pytest.raises(InputError, match=r"'endless' has 65 tokens, but .* has 64 positions"):
        activation_patterns(build("llama-grouped-query"), [bad])


def test_tokens_of_another_tokenizer_are_refused():
    bad = TokenizedSample("foreign", [5, 99, 7], 1, False)
    with pytest.raises(InputError, match=r"'foreign' has the token id 99, but .* has 50 embeddings"):
        activation_patterns(build("opt"), [bad])


def test_no_sample_is_refused():
    with pytest.raises(InputError, match="no sample"):
        activation_patterns(build("opt"), [])


def test_unknown_reduction_is_refused():
    with pytest.raises(InputError, match="unknown reduction 'sum'"):
        activation_patterns(build("opt"), make_samples(), reduction="sum")


def test_broken_weights_name_the_sample():
    model = build("llama-grouped-query")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight.fill_(math.nan)
    with pytest.raises(InputError, match=r"loss of sample 's\d' is nan"):
        activation_patterns(model, make_samples())


def test_broken_gradient_names_layer_and_sample():
    model = build("llama-grouped-query")
    model.model.layers[1].self_attn.o_proj.register_full_backward_hook(
        lambda module, inputs, outputs: (inputs[0] * math.inf,)
    )
    with pytest.raises(InputError, match=r"gradient of layer 1 for sample 's\d' is not finite"):
        activation_patterns(model, make_samples())


def test_attention_outside_the_interface_is_refused():
    """A layer that computes its attention by itself records nothing, and the error names it."""
    model = build("llama-grouped-query")
    attention = model.model.layers[2].self_attn
    attention.forward = lambda hidden_states, **_: (attention.o_proj(attention.q_proj(hidden_states)), None)
    with pytest.raises(InputError, match=r"layers \[2\] of LlamaForCausalLM gave no gradient"):
        activation_patterns(model, make_samples())


def test_changed_logits_are_refused():
    model = build("llama-grouped-query")
    model.register_forward_hook(lambda module, inputs, output: output.__setitem__("logits", output.logits * 2))
    with pytest.raises(InputError, match="its logits come out differently"):
        activation_patterns(model, make_samples())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("gpt-oss-attention-sinks", "its logits come out differently"), ("gemma2-soft-capping", "cannot run with SDPA")],
)
def test_attention_that_sdpa_cannot_express_is_refused(name, sentence):
    """With another attention than its own the model would be another model, and its patterns would look as good."""
    with pytest.raises(InputError, match=sentence):
        activation_patterns(build(name), make_samples())
