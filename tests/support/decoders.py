"""Settings for a tiny random model of each causal language model type of transformers."""

from typing import Any

import torch
from tiny_models import random_model
from transformers import PretrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

TOKENS = 50
SIZES = {
    **{"vocab_size": TOKENS, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "max_position_embeddings": 64},
    **{"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 8},
    **{"intermediate_size": 32, "ffn_dim": 32, "word_embed_proj_dim": 24, "d_model": 24},
    **{"sliding_window": 4, "attention_chunk_size": 4, "index_topk": 8, "index_n_heads": 2, "index_head_dim": 8},
    **{"num_local_experts": 4, "num_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 4, "n_group": 1},
    **{"num_experts_per_token": 4, "moe_num_experts": 4, "moe_k": 4, "moe_topk": 4, "top_k_experts": 4},
    **{"moe_intermediate_size": 8, "shared_expert_intermediate_size": 8, "topk_group": 1, "first_k_dense_replace": 1},
    **{"q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 6},
    **{"mamba_d_state": 8, "mamba_n_heads": 4, "mamba_d_head": 12, "mamba_n_groups": 1, "mamba_chunk_size": 8},
    **{"mamba_expand": 2, "mamba_dt_rank": 4, "mamba_d_ssm": 48},
    **{"linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2, "linear_num_value_heads": 4},
    **{"decoder_layers": 3, "decoder_attention_heads": 6, "decoder_ffn_dim": 32},
    **{"encoder_layers": 1, "encoder_attention_heads": 6, "encoder_ffn_dim": 16},
}
"""Config fields. Each is set if the config type has it and allows it to be set. A token goes through all experts,
because otherwise rounding would decide which experts it goes through."""

ALONE = {"is_decoder": True, "is_encoder_decoder": False}
LATENT = {"num_key_value_heads": 6, "head_dim": 4}
HYBRID = {"layer_types": ["linear_attention", "full_attention", "linear_attention"]}
CONVOLVING = {"layer_types": ["conv", "full_attention", "conv"]}
SHARED = {"layers_block_type": ["mamba", "hybrid", "hybrid"], "num_key_value_heads": 6}
ROTARY = {"rope_type": "default", "rope_theta": 10000.0}
ALIKE: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("axk1", "axk2", "deepseek_v2", "deepseek_v3", "deepseek_v32", "dots3_note_text", "glm4_moe_lite"), LATENT),
    (("glm_moe_dsa", "longcat_flash", "minicpm3", "youtu"), LATENT),
    (("qwen3_next", "qwen3_5_text", "qwen3_5_moe_text", "olmo_hybrid"), HYBRID),
    (("qwen3_5", "qwen3_5_moe"), {"text_config": HYBRID}),
    (("bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "marian", "mbart", "mvp", "pegasus"), ALONE),
    (("plbart", "bert", "bert-generation", "camembert", "data2vec-text", "electra", "ernie", "big_bird"), ALONE),
    (("megatron-bert", "rembert", "roberta", "roberta-prelayernorm", "roformer", "xlm-roberta"), ALONE),
    (("xlm-roberta-xl",), ALONE),
)
OWN: dict[str, dict[str, Any]] = {
    **{kind: settings for kinds, settings in ALIKE for kind in kinds},
    "bailing_hybrid": {**HYBRID, **LATENT},
    "bamba": {"attn_layer_indices": [1]},
    "codegen": {"n_embd": 32, "n_head": 8, "rotary_dim": 4, "hidden_size": 32, "num_attention_heads": 8},
    "cohere_compass_text": {"rope_parameters": {"full_attention": ROTARY}},
    "ctrl": {"n_positions": 64, "dff": 32},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0},
        "ffn_config": {"hidden_size": 24, "ffn_hidden_size": 16, "moe_num_experts": 4, "moe_top_k": 4},
    },
    "dots1": {"n_shared_experts": 1},
    "gemma3n_text": {
        **{"num_kv_shared_layers": 0, "laurel_rank": 4, "activation_sparsity_pattern": [0.0, 0.0, 0.0]},
        **{"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": TOKENS},
        **{"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "intermediate_size": [32] * 3},
    },
    "gemma4_text": {
        **{"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": TOKENS, "per_layer_config": {}},
        **{"layer_types": ["sliding_attention", "full_attention", "full_attention"]},
    },
    "gemma4_unified_text": {
        **{"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": TOKENS, "per_layer_config": {}},
        **{"layer_types": ["sliding_attention", "full_attention", "full_attention"]},
    },
    "gpt_neo": {"attention_types": [[["global", "local", "global"], 1]], "window_size": 4},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": {"layer_types": ["mamba", "attention", "mamba"]},
    "helium": {"head_dim": 4},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
    "jetmoe": {"num_attention_heads": 4},
    "kimi_linear": {
        **{**HYBRID, "num_key_value_heads": 6, "linear_head_dim": 8, "linear_num_heads": 2},
        **{"model_max_length": 64, "mlp_layer_types": ["dense", "sparse", "sparse"]},
    },
    "lfm2": CONVOLVING,
    "lfm2_moe": {**CONVOLVING, "num_dense_layers": 1},
    "mamba2": {"num_heads": 6, "head_dim": 8, "state_size": 8, "n_groups": 1},
    "mimo_v2_flash": {"v_head_dim": 8},
    "nemotron_h": {
        **{"layers_block_type": ["mamba", "attention", "moe"], "ssm_state_size": 8, "mamba_num_heads": 4},
        **{"mamba_head_dim": 12, "n_groups": 1, "chunk_size": 8, "moe_shared_expert_intermediate_size": 8},
        **{"num_hidden_layers": None},
    },
    "qwen4_exp_text": {
        **{"layer_types": ["linear_attention", "indexed_attention", "linear_attention"], "indexer_head_dim": 8},
        **{"indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_budget": 8, "indexer_compress_ratio": 2},
        **{"ngram_vocab_size_base": 50, "split_ngram_parts": 1, "hc_lowrank": 8},
    },
    "xlnet": {"max_position_embeddings": None, "d_head": 4, "d_inner": 32},
    "zamba": {**SHARED, "attention_hidden_size": 48, "attention_head_dim": 8, "n_mamba_heads": 2},
    "zamba2": {**SHARED, "n_mamba_heads": 4, "mamba_headdim": 12, "chunk_size": 8},
    "zaya": {"num_experts_per_tok": 1, "router_hidden_size": 8},
}
"""By model type, fields that are added to `SIZES` or replace them; None removes a field."""


def config_of(kind: str) -> PretrainedConfig:
    """The config of a tiny model of a type."""
    made = CONFIG_MAPPING[kind]
    default, own = made(), OWN.get(kind, {})
    text: Any = default.get_text_config(decoder=True)
    inner = next((name for name in default.sub_configs if getattr(default, name, None) is text), None)
    settings = {name: size for name, size in SIZES.items() if _may_be_set(text, name)}
    if inner:
        settings = {inner: _without_none({**settings, **own.get(inner, {})})}
    return made(**_without_none({**settings, **{name: value for name, value in own.items() if name != inner}}))


def build(kind: str) -> PreTrainedModel:
    """A `random_model` of this type."""
    torch.manual_seed(0)
    return random_model(config_of(kind))


def _may_be_set(config: PretrainedConfig, name: str) -> bool:
    """Whether a config has a field of this name that can be set, and not only a read-only property."""
    own = getattr(type(config), name, None)
    try:
        there = hasattr(config, name)
    except RuntimeError:  # a number that differs between layers
        there = True
    return there and not (isinstance(own, property) and own.fset is None)


def _without_none(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}
