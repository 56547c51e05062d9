"""The formulas of costs, compared with models and counters of the library, published sizes, and hand arithmetic."""

import pytest

from headpatterns.experiment.gpus import GPUS
from headpatterns.planning import formulas as costs

LLAMA_7B = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}
PUBLISHED = {
    "Llama-7B": (LLAMA_7B, 32000, 6_738_415_616),
    "Llama3-8B": ({**LLAMA_7B, "intermediate_size": 14336, "num_key_value_heads": 8}, 128256, 8_030_261_248),
    "Gemma-7B": (
        {
            "model_type": "gemma",
            "hidden_size": 3072,
            "intermediate_size": 24576,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "head_dim": 256,
        },
        256000,
        8_537_680_896,
    ),
    "OPT-6.7B": (
        {
            "model_type": "opt",
            "hidden_size": 4096,
            "word_embed_proj_dim": 4096,
            "ffn_dim": 16384,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "max_position_embeddings": 2048,
        },
        50272,
        6_658_473_984,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_of_published_models(name):
    architecture, vocabulary, parameters = PUBLISHED[name]
    assert costs.model(architecture, vocabulary).parameters == parameters


GATED = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3, "num_attention_heads": 6}


@pytest.mark.parametrize(
    "architecture",
    [
        {"model_type": "llama", **GATED},
        {"model_type": "llama", **GATED, "num_key_value_heads": 2, "tie_word_embeddings": True, "head_dim": 8},
        {"model_type": "mistral", **GATED, "num_key_value_heads": 3},
        {"model_type": "gemma", **GATED, "num_key_value_heads": 1, "head_dim": 8},
        {
            "model_type": "opt",
            "hidden_size": 24,
            "word_embed_proj_dim": 16,
            "ffn_dim": 40,
            "num_hidden_layers": 2,
            "num_attention_heads": 6,
            "max_position_embeddings": 64,
        },
    ],
    ids=lambda architecture: architecture["model_type"],
)
def test_parameters_as_transformers_counts_them(architecture):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**architecture, vocab_size=50))
    size = costs.model(architecture, 50)
    assert size.parameters == model.num_parameters()
    assert size.bytes == 4 * size.parameters
    assert (size.layers, size.heads) == (architecture["num_hidden_layers"], 6)
    assert size.width == 6 * architecture.get("head_dim", 4)


@pytest.mark.parametrize(
    "architecture",
    [
        {"model_type": "gpt2", **GATED},
        {"model_type": "llama", "hidden_size": 24},
        {"model_type": "gemma", **GATED},
        {"model_type": "mistral", **GATED},
    ],
)
def test_what_no_formula_counts_is_not_known(architecture):
    assert costs.model(architecture, 50) is None


def test_operations_as_torch_counts_them():
    """The model has small embeddings. Torch counts full attention, and the formula only what causal attention needs.

    Attention has no weights to freeze, so patterns take a little more than two forward passes.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoConfig, AutoModelForCausalLM

    architecture = {**LLAMA_7B, "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4}
    architecture |= {"num_attention_heads": 4}
    size = costs.model(architecture, 32)
    config = AutoConfig.for_model(**architecture, vocab_size=32, attn_implementation="eager")
    model = AutoModelForCausalLM.from_config(config)
    tokens = torch.zeros((2, 64), dtype=torch.long)

    def counted(embedded: torch.Tensor) -> tuple[int, int]:
        with FlopCounterMode(display=False) as forward:
            loss = model(inputs_embeds=embedded).logits.sum()
        with FlopCounterMode(display=False) as backward:
            loss.backward()
        return forward.get_total_flops(), backward.get_total_flops()

    estimated = costs.forward(size, tokens.numel(), 64)
    forward, backward = counted(model.get_input_embeddings()(tokens))
    assert estimated == pytest.approx(forward, rel=0.05)
    assert costs.TRAINING * estimated == pytest.approx(forward + backward, rel=0.05)
    embedded = model.get_input_embeddings()(tokens).detach().requires_grad_()
    model.requires_grad_(False)
    forward, backward = counted(embedded)
    assert costs.PATTERNS * estimated == pytest.approx(forward + backward, rel=0.1)


def test_operations_by_hand():
    size = costs.Model(parameters=1000, layers=2, heads=4, width=8, hidden=8, bytes=2000)
    assert costs.forward(size, tokens=10, length=5) == 10 * (2 * 1000 + 2 * 2 * 8 * 5)
    assert costs.pattern_bytes(size, samples=9, reductions=3) == 4 * 2 * 4 * (3 * 9 + 1)


@pytest.mark.parametrize(
    ("samples", "epochs", "max_steps", "micro_batch", "accumulation", "steps"),
    [
        (1581, 3, None, 32, 4, 39),  # 50 micro-batches, 13 steps an epoch
        (128, 3, None, 32, 4, 3),
        (129, 3, None, 32, 4, 6),
        (100, 1.5, None, 4, 4, 11),  # 7 steps an epoch
        (100, 3, 40, 4, 4, 40),
        (None, 3, 40, 4, 4, 40),
        (None, 3, None, 4, 4, None),
    ],
)
def test_steps(samples, epochs, max_steps, micro_batch, accumulation, steps):
    assert costs.steps(samples, epochs, max_steps, micro_batch, accumulation) == steps


def test_checkpoints_and_states():
    assert costs.intermediate([96, 4, 39, 8], last=39) == [4, 8]
    assert [costs.states(last, resume_every=25) for last in (0, 25, 26, 51, 76, 1000)] == [0, 0, 1, 2, 3, 3]
    size = costs.Model(parameters=100, layers=1, heads=1, width=1, hidden=1, bytes=200)
    assert costs.state_bytes(size, "pytorch", "bf16") == 1200
    assert costs.state_bytes(size, "deepspeed", "bf16") == 1600
    assert costs.state_bytes(size, "deepspeed", "fp32") == 2000


def test_memory_of_training():
    size = costs.Model(parameters=100, layers=1, heads=1, width=1, hidden=1, bytes=200)
    assert costs.gpu_training_bytes(size, "pytorch", "bf16", "adamw", devices=4) == 1600
    assert costs.gpu_training_bytes(size, "deepspeed", "bf16", "adamw", devices=4) == 200 + 1400 / 4
    assert costs.gpu_training_bytes(size, "deepspeed", "bf16", "adamw_offloaded", devices=4) == 200 + 200 / 4


@pytest.mark.parametrize(
    ("name", "count"), [("Llama3-8B", 41_943_040), ("Gemma-7B", 50_003_968), ("OPT-6.7B", 37_748_736)]
)
def test_adapters_are_counted_and_never_too_few(name, count):
    """Adapters of rank 16 on all linear modules: `count` is the sum of 16 × (in + out) over all weights, by hand."""
    found = costs.adapters(costs.model(*PUBLISHED[name][:2]), 16)
    assert count < found.parameters < 1.6 * count
    assert found.bytes == 4 * found.parameters


def test_adapters_are_not_too_few_where_all_heads_together_are_wider_than_hidden_states():
    """Qwen3-0.6B, by hand: q, k, v, o, gate, up and down of 28 layers."""
    count = 16 * 28 * (2 * (1024 + 2048) + 2 * (1024 + 1024) + 3 * (1024 + 3072))
    size = costs.Model(parameters=596_049_920, layers=28, heads=16, width=2048, hidden=1024, bytes=1_192_135_096)
    assert count < costs.adapters(size, 16).parameters < 1.6 * count


def test_adapters_take_no_passes_for_gradients_of_frozen_weights():
    size = costs.Model(parameters=1000, layers=1, heads=1, width=100, hidden=100, bytes=2000)
    small = costs.adapters(size, rank=2)
    assert small.parameters == 40
    forward = costs.forward(size, 10, 5)
    assert costs.training(size, size, 10, 5, checkpointed=False) == 3 * forward
    assert costs.training(size, size, 10, 5, checkpointed=True) == 4 * forward
    assert costs.training(size, small, 10, 5, checkpointed=False) == 2 * forward + 3 * 2 * 40 * 10
    assert costs.training(size, small, 10, 5, checkpointed=True) == 3 * forward + 4 * 2 * 40 * 10


def test_memory_of_training_adapters():
    """Weights stored in two bytes stay so, except in full precision.

    Weights stored in four bytes stay so with PyTorch; DeepSpeed in bf16 holds them in two.
    """
    size = costs.Model(parameters=1000, layers=1, heads=1, width=100, hidden=100, bytes=2000)
    small = costs.adapters(size, rank=2)
    assert costs.gpu_adapter_bytes(size, small, "pytorch", "bf16", "adamw", 1) == 2000 + 640
    assert costs.gpu_adapter_bytes(size, small, "pytorch", "fp32", "adamw", 1) == 4000 + 640
    whole = costs.Model(parameters=1000, layers=1, heads=1, width=100, hidden=100, bytes=4000)
    assert costs.gpu_adapter_bytes(whole, small, "pytorch", "bf16", "adamw", 1) == 4000 + 640
    assert costs.gpu_adapter_bytes(whole, small, "deepspeed", "bf16", "adamw", 4) == 2000 + 80 + 560 / 4


def test_peaks():
    assert GPUS["A100-80"].peak("bfloat16") == GPUS["A100-80"].peak("float16") == 312e12
    assert GPUS["A100-80"].peak("float32") == 19.5e12
