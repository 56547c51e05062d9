"""A sample has the same loss and pattern in every batch and alone."""

import numpy as np
import pytest
import torch
from tiny_models import build
from transformers import AutoModelForCausalLM, Phi3Config

from headpatterns import activation_patterns
from headpatterns.attribution import extraction
from headpatterns.attribution.ablation import ablated_losses
from headpatterns.data import batching
from headpatterns.errors import InputError
from headpatterns.evaluation import likelihoods
from headpatterns.evaluation.sequences import Text, Texts
from headpatterns.models import independence
from headpatterns.models.first_layers import only_first_layers

TURN = 64


@pytest.fixture(autouse=True)
def any_padding(monkeypatch):
    """Let samples of any lengths share a batch."""
    monkeypatch.setattr(batching, "PADDING", 100)


def longrope():
    """A Phi-3 that uses other position embeddings for texts of more than 64 tokens."""
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [8.0, 4.0, 2.0, 1.5],
            "original_max_position_embeddings": TURN, "factor": 4.0}  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(Phi3Config(
        vocab_size=100, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2, max_position_embeddings=256,
        original_max_position_embeddings=TURN, rope_parameters=rope,
    ))  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.dim() > 1 else 1)
    return model.eval()


def crowded():
    """A model in which the samples of a batch influence each other, like experts with limited capacity."""
    model = build("llama")

    def share(module, given, output):
        return output + 0.5 * output.mean(dim=(0, 1), keepdim=True) * (len(output) - 1)

    model.model.layers[0].mlp.register_forward_hook(share)
    return model


def forgetful():
    """A model whose result for a sample changes with every pass."""
    model, read = build("llama"), []

    def drift(module, given, output):
        read.append(1)
        return output * (1 + 0.3 * len(read))

    model.model.layers[0].mlp.register_forward_hook(drift)
    return model


def sample(length):
    ids = torch.randint(3, 50, (length,), generator=torch.Generator().manual_seed(length)).tolist()
    return {"input_ids": ids, "labels": [-100] * (length // 2) + ids[length // 2 :]}


@pytest.mark.parametrize(("make", "lengths"), [(longrope, (63, 64, 65, 66)), (crowded, (9, 12, 20, 9))])
def test_patterns_are_those_of_each_sample_alone(make, lengths):
    model, samples = make(), [sample(length) for length in lengths]
    together = activation_patterns(model, samples, token_budget=10_000)
    turned = activation_patterns(model, samples[::-1], token_budget=10_000)
    for number, one in enumerate(samples):
        alone = activation_patterns(model, [one])
        for found in (together, turned):
            place = number if found is together else len(samples) - 1 - number
            np.testing.assert_allclose(found.losses[place], alone.losses[0], rtol=1e-5)
            np.testing.assert_allclose(found.values[place], alone.values[0], rtol=1e-3, atol=1e-5 * alone.values.max())


@pytest.mark.parametrize(("make", "lengths"), [(longrope, (63, 66)), (crowded, (9, 20))])
def test_they_would_be_others_in_one_batch(make, lengths, monkeypatch):
    """If they were equal, the tests of this module could not fail."""
    model, samples = make(), [sample(length) for length in lengths]
    alone = activation_patterns(model, samples, token_budget=1)
    monkeypatch.setattr(independence, "turn", lambda config: None)
    monkeypatch.setattr(independence, "depends", lambda *given: False)
    beside = activation_patterns(model, samples, token_budget=10_000)
    assert abs(beside.values[0] - alone.values[0]).max() > 0.05 * alone.values[0].max()


@pytest.mark.parametrize(("make", "lengths"), [(longrope, (60, 70)), (crowded, (9, 20))])
def test_ablated_losses_are_those_of_each_sample_alone(make, lengths):
    model, samples = make(), [sample(length) for length in lengths]
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    kept = np.ones((2, layers, heads), dtype=bool)
    kept[1, 0, 1] = False
    together = ablated_losses(model, samples, kept, token_budget=10_000)
    for place, one in enumerate(samples):
        np.testing.assert_allclose(
            together[:, place], ablated_losses(model, [one], kept, token_budget=1)[:, 0], rtol=1e-5
        )


def test_likelihoods_are_those_of_each_text_alone():
    model = crowded()
    ids = np.array(sample(20)["input_ids"], dtype=np.int32)
    items = [Texts(Text(ids[:length], 4), (Text(ids[:8], 4),), False) for length in (9, 14, 20)]
    assert independence.logits_depend(model)
    together = likelihoods.of_items(model, "set", items, 10_000, alone=True)
    for item, found in zip(items, together, strict=True):
        with torch.no_grad():
            logs = model(torch.from_numpy(item.gold.ids.astype(np.int64))[None]).logits[0].log_softmax(dim=-1)
        wanted = -sum(logs[place - 1, item.gold.ids[place]].item() for place in range(4, len(item.gold.ids)))
        assert found.nll == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    "name", ["llama-grouped-query", "opt", "gpt2", "mistral-sliding-window", "deepseek-small-values"]
)
def test_models_that_read_a_sample_alike_may_batch(name):
    model = build(name)
    assert not independence.logits_depend(model)
    assert not extraction.depends_on_batch(model)
    assert independence.turn(model.config) is None


class Backward(torch.autograd.Function):
    """A kernel with a correct forward pass, whose gradients depend on the number of samples."""

    @staticmethod
    def forward(context, output):
        return output.clone()

    @staticmethod
    def backward(context, gradient):
        return gradient / len(gradient)


def first_to_come(output, by_position):
    """An expert that takes only the first twelve tokens, in the order of samples or of positions."""
    kept = torch.arange(output.shape[0] * output.shape[1]) < 12
    kept = kept.view(output.shape[1], output.shape[0]).T if by_position else kept.view(output.shape[:2])
    return output * kept[..., None]


FAULTS = {
    "what is left by others": lambda output: output + 0.5 * output.mean(dim=(0, 1), keepdim=True) * (len(output) - 1),
    "tokens of later samples are left out": lambda output: first_to_come(output, False),
    "tokens at later positions are left out": lambda output: first_to_come(output, True),
    "the length of the batch": lambda output: output * output.shape[1] / 5,
    "padding is read": lambda output: output + output.mean(dim=1, keepdim=True),
    "the first sample's length": lambda output: (
        output * (torch.arange(output.shape[1]) < (3 if len(output) > 1 else 9))[:, None]
    ),
    "the last sample": lambda output: torch.cat([output[:-1], output[-1:] * (2 if len(output) > 1 else 1)]),
    "the gradient alone": Backward.apply,
}
"""Faults of a layer that make a sample depend on its batch."""


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_a_layer_does_to_a_batch_shows(fault):
    model = build("llama")
    model.model.layers[0].mlp.register_forward_hook(lambda module, given, output: FAULTS[fault](output))
    assert extraction.depends_on_batch(model)
    assert independence.logits_depend(model) == (fault != "the gradient alone")


def test_a_sound_model_is_read_twice():
    """Every further pass would make the test more expensive for a large model."""
    model, batches = build("llama"), []
    model.register_forward_pre_hook(
        lambda module, given, named: batches.append(len(named["input_ids"])), with_kwargs=True
    )
    assert not independence.logits_depend(model)
    assert batches == [1, 4]


def test_a_model_that_reads_a_sample_otherwise_the_second_time_is_refused():
    with pytest.raises(
        InputError, match="LlamaForCausalLM gives a sample another result when it reads it a second time"
    ):
        independence.logits_depend(forgetful())


def test_samples_of_both_kinds_share_no_batch():
    assert list(batching.batches([10, 70, 64, 65], 10_000, turn=64)) == [[1, 3], [2, 0]]
    assert list(batching.batches([10, 70, 64, 65], 10_000)) == [[1, 3, 2, 0]]


def test_micro_batches_of_samples_that_change_each_other_are_refused():
    model = longrope()
    with pytest.raises(
        InputError,
        match=r"Phi3ForCausalLM reads micro-batches in another way if a sample has more than 64 tokens.*60 to 70",
    ):
        independence.check_micro_batches(model, [sample(60), sample(70)])
    independence.check_micro_batches(model, [sample(60), sample(64)])
    independence.check_micro_batches(model, [sample(65), sample(70)])
    with pytest.raises(
        InputError, match="LlamaForCausalLM gives a sample another result if the batch has other samples"
    ):
        independence.check_micro_batches(crowded(), [sample(9), sample(20)])


# With only the first layers -------------------------------------------------------------------------------------------


def layers_read(model, work):
    """The numbers of the layers of a model that run during some work, in order."""
    read = []
    hooks = [
        layer.register_forward_hook(lambda *_, number=number: read.append(number))
        for number, layer in enumerate(model.model.layers)
    ]
    try:
        work(model)
    finally:
        for hook in hooks:
            hook.remove()
    return read


MIXED = {"num_hidden_layers": 7, "layer_types": ["sliding_attention"] * 4 + ["full_attention"] * 3}
KINDS = {
    "llama": ({"num_hidden_layers": 7}, 2),
    "gemma3-mixed-windows": (MIXED, 5),
    "lfm2-convolutions": (
        {"num_hidden_layers": 7, "layer_types": ["conv", "conv", "full_attention"] + ["conv"] * 4},
        3,
    ),
    "deepseek-small-values": ({"num_hidden_layers": 7, "first_k_dense_replace": 3}, 7),
}
"""By architecture: settings for seven layers, and the number of layers that are read. Experts need all layers."""


@pytest.mark.parametrize("name", KINDS)
def test_the_first_layers_of_every_kind_are_read_and_no_others(name):
    settings, count = KINDS[name]
    model = build(name, **settings)
    layers = model.model.layers
    for test in (extraction.depends_on_batch, independence.logits_depend):
        assert layers_read(model, test)[-2 * count :] == [*range(count)] * 2
        assert model.model.layers is layers and len(layers) == 7


def test_layers_of_other_shapes_are_of_another_kind():
    model = build("llama", num_hidden_layers=7)
    wide = build("llama", intermediate_size=64)
    model.model.layers[4].mlp = wide.model.layers[0].mlp
    assert layers_read(model, independence.logits_depend) == [*range(5)] * 2


def test_a_fault_of_the_last_kind_of_layers_shows():
    model = build("gemma3-mixed-windows", **MIXED)
    for layer in model.model.layers[4:]:
        layer.mlp.register_forward_hook(lambda module, given, output: FAULTS["padding is read"](output))
    assert extraction.depends_on_batch(model)
    assert independence.logits_depend(model)


def test_an_expert_that_takes_few_tokens_shows_in_any_layer():
    model = build("deepseek-small-values", num_hidden_layers=7)
    model.model.layers[6].mlp.register_forward_hook(lambda module, given, output: first_to_come(output, False))
    assert extraction.depends_on_batch(model)
    assert independence.logits_depend(model)


@pytest.mark.parametrize("fault", [RuntimeError("all layers are needed"), InputError("all layers are needed")])
def test_a_model_that_needs_all_layers_is_read_with_all(fault):
    model = build("llama", num_hidden_layers=7)

    def refuse(module, given):
        if len(model.model.layers) < 7:
            raise fault

    model.model.norm.register_forward_pre_hook(refuse)
    assert layers_read(model, extraction.depends_on_batch)[-14:] == [*range(7)] * 2
    assert len(model.model.layers) == 7


def test_an_error_leaves_all_layers_in_place():
    model = build("llama", num_hidden_layers=7)
    with pytest.raises(KeyError, match="reading"), only_first_layers(model) as fewer:
        assert fewer and len(model.model.layers) == 2
        raise KeyError("reading")
    assert len(model.model.layers) == 7


def test_a_model_with_two_lists_of_so_many_modules_keeps_all_layers():
    model = build("llama", num_hidden_layers=7)
    model.model.further = torch.nn.ModuleList(torch.nn.Identity() for _ in range(7))
    with only_first_layers(model) as fewer:
        assert not fewer and len(model.model.layers) == 7
