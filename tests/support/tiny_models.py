"""Random models of every architecture that the tests use, so small that gradients take milliseconds."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

VOCABULARY = 320
"""Tokens of the tokenizer that the tests train; the models below have fewer tokens by default."""

SIZE = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 6, "vocab_size": 50}
GATED = {**SIZE, "intermediate_size": 32, "max_position_embeddings": 64}
ARCHITECTURES = {
    "llama": {"model_type": "llama", **GATED},
    "llama-grouped-query": {"model_type": "llama", **GATED, "num_key_value_heads": 2},
    "gemma-multi-query": {"model_type": "gemma", **GATED, "num_key_value_heads": 1, "head_dim": 8},
    "opt": {
        "model_type": "opt",
        **SIZE,
        "ffn_dim": 32,
        "word_embed_proj_dim": 24,
        "max_position_embeddings": 64,
        "dropout": 0.1,
    },
    "mistral-sliding-window": {"model_type": "mistral", **GATED, "num_key_value_heads": 2, "sliding_window": 4},
    "qwen3": {"model_type": "qwen3", **GATED, "num_key_value_heads": 3, "head_dim": 4},
    "gpt2": {"model_type": "gpt2", "n_embd": 24, "n_layer": 3, "n_head": 6, "vocab_size": 50, "n_positions": 64},
    "gpt-neox": {"model_type": "gpt_neox", **GATED},
    "gemma2-soft-capping": {
        "model_type": "gemma2",
        **GATED,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "attn_logit_softcapping": 5.0,
        "final_logit_softcapping": 3.0,
        "sliding_window": 4,
    },
    "gpt-oss-attention-sinks": {
        "model_type": "gpt_oss",
        **GATED,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
    },
}
FURTHER = {
    "qwen2": {"model_type": "qwen2", **GATED, "num_key_value_heads": 2},
    "phi3": {"model_type": "phi3", **GATED, "num_key_value_heads": 2},
    "gemma3-mixed-windows": {
        "model_type": "gemma3_text",
        **GATED,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "sliding_window": 4,
    },
    "phi3-sliding-window": {"model_type": "phi3", **GATED, "num_key_value_heads": 2, "sliding_window": 4},
    "deepseek-small-values": {
        "model_type": "deepseek_v3",
        **GATED,
        "num_key_value_heads": 6,
        "q_lora_rank": 8,
        "kv_lora_rank": 8,
        "qk_rope_head_dim": 4,
        "qk_nope_head_dim": 4,
        "v_head_dim": 6,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "topk_group": 1,
        "moe_intermediate_size": 8,
        "first_k_dense_replace": 1,
    },
    "laguna-heads-by-layer": {
        "model_type": "laguna",
        **GATED,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "num_attention_heads_per_layer": [6, 4, 6],
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 8,
        "shared_expert_intermediate_size": 8,
    },
    "cohere": {"model_type": "cohere", **GATED, "num_key_value_heads": 2, "logit_scale": 0.0625},
    "granite": {"model_type": "granite", **GATED, "num_key_value_heads": 2, "logits_scaling": 8.0},
    "diffllama-two-maps": {"model_type": "diffllama", **GATED, "num_key_value_heads": 2},
    "bloom": {"model_type": "bloom", "hidden_size": 24, "n_layer": 3, "n_head": 6, "vocab_size": 50},
    "falcon-alibi": {"model_type": "falcon", **SIZE, "alibi": True},
    "falcon-multi-query-in-parallel": {"model_type": "falcon", **SIZE, "multi_query": True, "parallel_attn": True},
    "falcon-grouped-query": {"model_type": "falcon", **SIZE, "new_decoder_architecture": True, "num_kv_heads": 2},
    "gptj": {
        "model_type": "gptj",
        "n_embd": 24,
        "n_layer": 3,
        "n_head": 6,
        "rotary_dim": 4,
        "vocab_size": 50,
        "n_positions": 64,
    },
    "gpt-neo-local": {
        "model_type": "gpt_neo",
        "hidden_size": 24,
        "num_layers": 3,
        "num_heads": 6,
        "attention_types": [[["global", "local", "global"], 1]],
        "window_size": 4,
        "vocab_size": 50,
        "max_position_embeddings": 64,
    },
    "mpt-alibi": {"model_type": "mpt", "d_model": 24, "n_layers": 3, "n_heads": 6, "vocab_size": 50, "max_seq_len": 64},
    "lfm2-convolutions": {
        "model_type": "lfm2",
        **GATED,
        "num_key_value_heads": 2,
        "layer_types": ["conv", "full_attention", "conv"],
    },
}
FURTHER["deepseek-chosen-positions"] = {
    **FURTHER["deepseek-small-values"],
    "model_type": "deepseek_v32",
    "index_topk": 8,
    "index_n_heads": 2,
    "index_head_dim": 8,
}
"""Architectures that most tests leave out."""

REFUSED = ("gemma2-soft-capping", "gpt-oss-attention-sinks")
"""Architectures that refuse SDPA, because it cannot express their attention."""


def build(name: str, seed: int = 0, **changed: float) -> PreTrainedModel:
    """A `random_model` of this architecture, with some sizes changed."""
    settings = {**(ARCHITECTURES | FURTHER)[name], **changed}
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        settings.pop("model_type"), pad_token_id=0, bos_token_id=1, eos_token_id=2, **settings
    )
    return random_model(config)


def random_model(config: PretrainedConfig) -> PreTrainedModel:
    """A random float32 model with weights so large that attention is far from uniform; the caller seeds torch."""
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    model.requires_grad_()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8.0)
    return model
