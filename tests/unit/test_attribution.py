"""Eq. 2 against the textbook procedure: eager attention, `retain_grad` on the attention matrix, sample by sample."""

import gc
import inspect
import math
import random
import re
import weakref

import numpy as np
import pytest
import torch
from tiny_models import ARCHITECTURES, FURTHER, REFUSED, build
from transformers import (
    AttentionInterface,
    AutoModelForCausalLM,
    BertConfig,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
)
from transformers.masking_utils import AttentionMaskInterface

from headpatterns.attribution import REDUCTIONS, activation_patterns, adapters, blockwise, passes
from headpatterns.attribution.interface import NAME, attending_by
from headpatterns.attribution.layer_inputs import AttentionInputs
from headpatterns.attribution.recording import recording
from headpatterns.data import batching
from headpatterns.data.batching import batches
from headpatterns.data.tokens import TokenizedSample
from headpatterns.errors import InputError
from headpatterns.models import projection

LENGTHS = [(5, 3), (2, 9), (11, 1), (4, 4), (7, 6)]


def make_samples(seed: int = 0) -> list[TokenizedSample]:
    draw = random.Random(seed)
    return [
        TokenizedSample(f"s{n}", [draw.randrange(3, 50) for _ in range(prompt + response)], prompt, False)
        for n, (prompt, response) in enumerate(LENGTHS)
    ]


def textbook(model, samples, reduction):
    """Patterns [N, L, H], also with the reduction `signed`, and losses [N], directly from the attention matrices."""
    before = model.config._attn_implementation
    model.config._attn_implementation = "eager"  # because Falcon ignores set_attn_implementation
    hooks = [one.register_forward_pre_hook(adapters.alibi_once, with_kwargs=True) for one in model.modules()]
    values, losses = [], []
    for sample in samples:
        inputs = torch.tensor([sample.input_ids])
        result = model(input_ids=inputs, labels=torch.tensor([sample.labels]), output_attentions=True)
        for attention in result.attentions:
            attention.retain_grad()
        result.loss.backward()
        products = [attention[0] * attention.grad[0] for attention in result.attentions]
        if reduction == "signed":
            values.append([product.sum((1, 2)).tolist() for product in products])
        elif reduction == "abs_of_sum":
            values.append([product.sum((1, 2)).abs().tolist() for product in products])
        elif reduction == "sum_of_abs":
            values.append([product.abs().sum((1, 2)).tolist() for product in products])
        else:
            values.append([product.sum(2).abs().sum(1).tolist() for product in products])
        losses.append(result.loss.item())
        model.zero_grad()
    model.config._attn_implementation = before
    for hook in hooks:
        hook.remove()
    return np.array(values), np.array(losses)


UNREACHABLE = {
    "deepseek-chosen-positions": r"layer 0 of the model \(DeepseekV32Attention\) passes 'indices' .*: use another",
    "laguna-heads-by-layer": "layer 1 of LagunaForCausalLM has 4 query heads, but its config says 6: use an",
    "diffllama-two-maps": "layer 2 of DiffLlamaForCausalLM computes attention more than once in a pass, .*: use",
}


def assert_equal(found, expected):
    """Check that patterns [N, L, H] agree within 1e-5 of the largest value of each layer."""
    assert found.shape == expected.shape
    for layer in range(expected.shape[1]):
        scale = np.abs(expected[:, layer]).max()
        assert scale > 0
        np.testing.assert_allclose(found[:, layer], expected[:, layer], atol=1e-5 * scale, rtol=0)


EQUAL = [
    pytest.param(name, reduction, marks=[pytest.mark.slow] if name in FURTHER and reduction != REDUCTIONS[0] else [])
    for name in [*ARCHITECTURES, *FURTHER]
    for reduction in REDUCTIONS
    if name not in UNREACHABLE
]
"""Every architecture and reduction; the quick tests have only one reduction of each further architecture."""


@pytest.mark.parametrize(("name", "reduction"), EQUAL)
def test_equals_the_textbook_procedure(name, reduction, monkeypatch):
    monkeypatch.setattr(batching, "PADDING", 100)  # all lengths in one batch
    model, samples = build(name), make_samples()
    expected, losses = textbook(model, samples, reduction)
    for token_budget in (1, 10_000):  # one sample per batch; all in one batch, padded
        found = activation_patterns(model, samples, reduction=reduction, token_budget=token_budget)
        assert found.values.shape == (5, 1 if name == "lfm2-convolutions" else 3, 6)
        assert_equal(found.values, expected)
        np.testing.assert_allclose(found.losses, losses, rtol=1e-5)


@pytest.mark.parametrize("token_budget", ["auto", 10_000])
@pytest.mark.parametrize("name", UNREACHABLE)
def test_attention_that_cannot_be_recorded_is_refused(name, token_budget, monkeypatch):
    monkeypatch.setattr(batching, "PADDING", 100)  # all lengths in one batch
    model = build(name)
    before = model.config._attn_implementation
    with pytest.raises(InputError, match=UNREACHABLE[name]):
        activation_patterns(model, make_samples(), token_budget=token_budget)
    assert_untouched(model, before)


OWN_ATTENTION = [name for name in FURTHER if name.split("-")[0] in ("bloom", "falcon", "gpt", "gptj", "mpt")]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["llama", *OWN_ATTENTION])
def test_padding_on_either_side_changes_nothing(name, side):
    """Models that accept `position_ids` get them from the test; ALiBi counts the tokens that the mask keeps."""
    model, samples = build(name), make_samples()[:2]
    width, alone = max(len(sample.input_ids) for sample in samples), []
    ids, mask = (torch.zeros(2, width, dtype=torch.long) for _ in range(2))
    for row, sample in enumerate(samples):
        length = len(sample.input_ids)
        place = slice(width - length, width) if side == "left" else slice(0, length)
        ids[row, place], mask[row, place] = torch.tensor(sample.input_ids), 1
        alone.append(activation_patterns(model, [sample], also=["sum_of_abs", "abs_per_position"]))
    if "position_ids" in inspect.signature(model.forward).parameters:
        placed = {"position_ids": (mask.cumsum(1) - 1).clamp(min=0)}
    else:
        placed = {}
    with passes.frozen(model), recording(model, REDUCTIONS) as recorded:
        embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
        logits = model(inputs_embeds=embedded, attention_mask=mask, use_cache=False, **placed).logits
        for row, sample in enumerate(samples):
            own = logits[row][mask[row].bool()]
            labels = torch.tensor(sample.labels[1:])
            torch.nn.functional.cross_entropy(own[:-1], labels, ignore_index=-100).backward(retain_graph=row == 0)
            found = torch.stack([recorded[layer][row] for layer in range(3)], dim=1)
            for place, reduction in enumerate(REDUCTIONS):
                assert_equal(found[place].abs().numpy()[None], alone[row].by(reduction))
            recorded.clear()


def test_a_layer_that_attends_where_the_config_says_that_it_does_not():
    model = build("llama")
    model.config.layer_types = ["full_attention", "conv", "full_attention"]
    with pytest.raises(
        InputError, match=r"layers \[1\] of LlamaForCausalLM compute attention although its config says that they do"
    ):
        activation_patterns(model, make_samples())


def test_a_model_in_which_tokens_see_those_after_them_is_refused():
    model = AutoModelForCausalLM.from_config(BertConfig(
        vocab_size=50, hidden_size=24, num_hidden_layers=3, num_attention_heads=6, intermediate_size=32, pad_token_id=0,
    )).eval()  # fmt: skip
    with pytest.raises(
        InputError, match=r"BertLMHeadModel predicts a token from itself and the tokens after it.*: use a dec"
    ):
        activation_patterns(model, make_samples())


@pytest.mark.parametrize("name", ["llama-grouped-query", *REFUSED])
def test_every_layer_attends_by_blocks_where_sdpa_cannot(name, monkeypatch):
    """Every layer uses blocks in the forward and the backward pass, but never if SDPA can compute its attention."""
    seen = {"forward": 0, "backward": 0}
    for step in seen:
        own = getattr(blockwise._Attention, step)

        def counted(*arguments, step=step, own=own):
            seen[step] += 1
            return own(*arguments)

        monkeypatch.setattr(blockwise._Attention, step, staticmethod(counted))
    model, samples = build(name), make_samples()
    head = projection.head_of(model)
    seen.update(forward=0)
    with passes.frozen(model), recording(model, ["abs_of_sum"]) as recorded:
        passes.backward(model, head, samples)
    assert sorted(recorded) == [0, 1, 2]
    assert seen == dict.fromkeys(seen, 3 if name in REFUSED else 0)


@pytest.mark.parametrize("lengths", [(6, 6), (6, 3)])
def test_right_padding_needs_no_mask(lengths):
    """A causal layer gets no mask, and a window layer one mask for all samples; left padding needs its own mask."""
    masks = {}

    def attention(module, query, key, value, mask, **settings):
        masks[module.layer_idx] = mask
        return blockwise.attend(module, query, key, value, mask, **settings)

    model = build("gemma3-mixed-windows")
    padding = torch.tensor([[1] * length + [0] * (6 - length) for length in lengths])
    with attending_by(model, attention), torch.no_grad():
        model(input_ids=torch.full((2, 6), 5), attention_mask=padding)
        assert masks[1] is None
        assert masks[0].shape == (2, 1, 6, 6)
        assert masks[0].stride(0) == 0
        assert torch.equal(masks[0][0, 0], torch.ones(6, 6).tril().triu(-3).bool())
        model(input_ids=torch.full((2, 6), 5), attention_mask=padding.flip(1))
        if lengths[1] < 6:
            assert torch.equal(masks[1][1, 0, :, :3], torch.zeros(6, 3).bool())


def test_each_part_of_a_model_has_its_own_attention_again():
    """The text and image parts of the model have different attention implementations."""
    text = {"vocab_size": 50, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4, "pad_token_id": 0}
    sizes = {"hidden_size": 24, "intermediate_size": 32, "num_attention_heads": 6}
    config = Gemma3Config(
        text_config={**sizes, **text, "num_hidden_layers": 3},
        vision_config={**sizes, "num_hidden_layers": 1, "image_size": 28, "patch_size": 14},
        image_token_index=49,
    )
    torch.manual_seed(0)
    own = {"text_config": "sdpa", "vision_config": "eager"}
    model, samples = Gemma3ForConditionalGeneration._from_config(config, attn_implementation=own).eval(), make_samples()
    found = activation_patterns(model, samples).values
    assert {name: getattr(model.config, name)._attn_implementation for name in own} == own
    assert_untouched(model, model.config._attn_implementation)
    assert_equal(found, textbook(model, samples, "abs_of_sum")[0])


def assert_untouched(model, implementation):
    """Check that nothing is registered, attached to a module, or left in a gradient."""
    assert model.config._attn_implementation == implementation
    for mapping in (AttentionInterface._global_mapping, AttentionMaskInterface._global_mapping):
        assert NAME not in mapping
    for module in model.modules():
        for hooks in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
            assert not getattr(module, hooks)
        assert "forward" not in vars(module)
    for parameter in model.parameters():
        assert parameter.requires_grad
        assert parameter.grad is None
        assert not parameter._backward_hooks


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["llama-grouped-query", "gemma2-soft-capping"])
def test_nothing_is_left_after_an_error_in_a_backward_pass(name, reduction):
    """The backward pass fails in the second layer, after the third one; the kept tensors are freed as well."""
    model, kept = build(name), []
    before = model.config._attn_implementation

    def fail(gradient):
        raise RuntimeError("in the middle")

    def hook(module, inputs, output):
        kept.append(weakref.ref(output[0]))
        output[0].register_hook(fail)

    head = projection.head_of(model)
    attached = model.model.layers[1].self_attn.register_forward_hook(hook)
    with (
        pytest.raises(RuntimeError, match="in the middle"),
        passes.frozen(model),
        recording(model, [reduction]) as found,
    ):
        passes.backward(model, head, make_samples())
    assert list(found) == [2]
    attached.remove()
    gc.collect()
    assert [reference() for reference in kept] == [None]
    assert_untouched(model, before)
    assert activation_patterns(model, make_samples()).values.shape == (5, 3, 6)


def test_one_attention_is_replaced_at_a_time():
    """A second model, or the first one again, is refused, and the recording of the first continues unchanged."""
    first, second, samples = build("llama-grouped-query"), build("opt"), make_samples()
    expected = activation_patterns(first, samples).signed
    with passes.frozen(first), recording(first, ["abs_of_sum"]) as recorded:
        for model in (first, second):
            with pytest.raises(InputError, match=r"this process has already replaced .*: wait until that ends"):
                activation_patterns(model, samples)
        passes.backward(first, projection.head_of(first), samples[:1])
        np.testing.assert_allclose(torch.cat([recorded[layer][:, 0] for layer in range(3)]), expected[0], rtol=1e-5)
    assert_untouched(first, "sdpa")
    assert_untouched(second, "sdpa")
    assert activation_patterns(second, samples).values.shape == (5, 3, 6)


def test_by_hand():
    """All layers compute o from A and V with plain matrix products, and the loss is written out by hand."""
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


def test_each_module_is_in_the_mode_that_it_was_in():
    model = build("opt").train()
    model.model.decoder.layers[1].eval()
    before = {name: module.training for name, module in model.named_modules()}
    activation_patterns(model, make_samples())
    assert {name: module.training for name, module in model.named_modules()} == before


def test_gradients_that_the_caller_switched_off():
    model, samples = build("llama-grouped-query"), make_samples()
    expected = activation_patterns(model, samples).values
    with torch.no_grad():
        np.testing.assert_array_equal(activation_patterns(model, samples).values, expected)
        assert not torch.is_grad_enabled()


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
    with pytest.raises(InputError, match="data is empty"):
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


@pytest.mark.parametrize("token_budget", ["auto", 10_000])
@pytest.mark.parametrize("layers", [[2], [0, 1, 2]])
def test_attention_outside_the_interface_is_refused(layers, token_budget, monkeypatch):
    """A layer that computes its attention by itself records nothing, and the error names it."""
    monkeypatch.setattr(batching, "PADDING", 100)  # all lengths in one batch
    model = build("llama-grouped-query")

    def project(attention):
        return lambda hidden_states, **_: (attention.o_proj(attention.q_proj(hidden_states)), None)

    for layer in layers:
        attention = model.model.layers[layer].self_attn
        attention.forward = project(attention)
    with pytest.raises(InputError, match=rf"layers {re.escape(str(layers))} of LlamaForCausalLM gave no gradient"):
        activation_patterns(model, make_samples(), token_budget=token_budget)


def test_changed_logits_are_refused():
    model = build("llama-grouped-query")
    model.register_forward_hook(lambda module, inputs, output: output.__setitem__("logits", output.logits * 2))
    with pytest.raises(InputError, match="its logits differ"):
        activation_patterns(model, make_samples())


def test_logits_that_change_in_long_samples_alone_are_refused():
    """The logits are compared on the longest sample, where they are most likely to differ."""
    model = build("llama-grouped-query")

    def change(module, inputs, output):
        output.logits[:, 20:] *= 2

    model.register_forward_hook(change)
    assert activation_patterns(model, make_samples()).values.shape == (5, 3, 6)
    long = TokenizedSample("long", [5, 6, 7] * 10, 3, False)
    with pytest.raises(InputError, match="its logits differ"):
        activation_patterns(model, [*make_samples(), long])


@pytest.mark.parametrize(("window", "tokens"), [(4, 64), (100, 101), (1000, 150)])
def test_what_is_looked_at_is_longer_than_a_window(window, tokens):
    model = build("mistral-sliding-window", sliding_window=window, max_position_embeddings=200)
    samples = [TokenizedSample("short", [5] * 30, 3, False), TokenizedSample("long", list(range(150)), 3, False)]
    found = passes.beginning(samples, model)
    assert (found.id, found.input_ids) == ("long", list(range(tokens)))
    # Only these tokens have a row of logits.
    assert found.labels == [-100] * (tokens - 64) + found.input_ids[tokens - 64 :]
    assert passes.own_logits(model.requires_grad_(False), passes.beginning(samples[:1], model)).shape[0] == 29


def test_windows_that_differ_between_layers():
    """The widest window counts, even if only some layers have it."""
    model = build("mistral-sliding-window", max_position_embeddings=200)
    model.config.per_layer_config = {1: {"sliding_window": 80}, 2: {"sliding_window": None}}
    samples = [TokenizedSample("long", list(range(150)), 3, False)]
    assert len(passes.beginning(samples, model).input_ids) == 81


def test_layers_with_numbers_of_heads_of_their_own_are_refused():
    model = build("llama-grouped-query")
    model.config.per_layer_config = {1: {"num_attention_heads": 4}}
    with pytest.raises(InputError, match="the layers of LlamaForCausalLM have different numbers of heads"):
        activation_patterns(model, make_samples())


def test_logits_are_compared_as_exactly_as_the_precision_allows():
    """A difference of half a percent counts as rounding in bfloat16, and as another model in float32."""
    model = build("llama-grouped-query")
    model.register_forward_hook(lambda module, inputs, output: output.__setitem__("logits", output.logits * 1.005))
    assert activation_patterns(model.bfloat16(), make_samples()).values.shape == (5, 3, 6)
    with pytest.raises(InputError, match="its logits differ"):
        activation_patterns(model.float(), make_samples())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("factor", [1.0, 1.1])
def test_rounding_in_a_pretrained_model_is_not_another_model(real, dtype, factor):
    """The model's attention is eager, ours is SDPA or blockwise; a difference of 10 % is refused in every precision."""
    folder = real / "realmodels" / "stories260K"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    model.register_forward_hook(lambda module, inputs, output: output.__setitem__("logits", output.logits * factor))
    draw = random.Random(0)
    samples = [TokenizedSample("s", [draw.randrange(3, 500) for _ in range(70)], 3, False)]
    for reduction in ("abs_of_sum", "sum_of_abs"):
        if factor == 1:
            assert activation_patterns(model, samples, reduction=reduction).values.shape == (1, 5, 8)
        else:
            with pytest.raises(InputError, match="its logits differ"):
                activation_patterns(model, samples, reduction=reduction)


def test_logits_that_are_not_finite_here_alone_are_refused():
    model = build("llama-grouped-query")
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight.fill_(math.nan)
    model.register_forward_hook(lambda module, inputs, output: output.__setitem__("logits", output.logits.nan_to_num()))
    with pytest.raises(InputError, match="logits of LlamaForCausalLM are finite with its own attention, but not"):
        activation_patterns(model, make_samples())


def test_keywords_that_are_not_known_are_refused():
    """A keyword is refused only if it is not None, in blockwise attention and in `AttentionInputs`."""
    module = build("llama").model.layers[1].self_attn
    query = torch.randn(1, 6, 4, 4)
    for settings in ({}, {"softcap": 2.0}):
        assert blockwise.attend(module, query, query, query, None, indices=None, **settings)[0].shape == (1, 4, 6, 4)
        with pytest.raises(InputError, match=r"layer 1 of the model \(LlamaAttention\) passes 'indices'"):
            blockwise.attend(module, query, query, query, None, indices=query, **settings)
    with pytest.raises(InputError, match="passes 'position_bias'"):
        AttentionInputs.of(module, query, query, query, None, position_bias=query)
