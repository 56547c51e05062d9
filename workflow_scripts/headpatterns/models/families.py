"""Which models have attention heads whose patterns can be computed, according to their config.

docs/architectures.csv lists the tested models.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headpatterns.errors import InputError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

WITHOUT_ATTENTION = frozenset({"falcon_mamba", "mamba", "mamba2", "rwkv", "xlstm"})
"""Types of models without attention layers."""

ENCODER_DECODERS = frozenset(
    {
        *("bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "marian", "mbart", "mvp", "pegasus", "plbart"),
        *("prophetnet", "trocr", "whisper"),
    }
)
"""Types of models with an encoder. transformers can build their decoder alone; its config then has `is_decoder`."""

ENCODERS = frozenset(
    {
        *("bert", "bert-generation", "big_bird", "camembert", "data2vec-text", "electra", "ernie", "megatron-bert"),
        *("reformer", "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "xlm-roberta"),
        *("xlm-roberta-xl", "xmod"),
    }
)
"""Types of models in which a token attends to later tokens, unless their config has `is_decoder`."""

NOT_ATTENDING = frozenset({"linear_attention", "conv", "moe", "mlp"})
"""Kinds of layers, as named in `layer_types` of a config, without attention matrix: they have no softmax, or no
attention at all. `linear_attention` includes layers that transformers once called mamba."""

UNDIVIDED = frozenset(
    {
        *("axk1", "bert", "bert-generation", "bloom", "camembert", "codegen", "ctrl", "data2vec-text", "dbrx"),
        *("deepseek_v2", "deepseek_v3", "electra", "ernie", "falcon", "fuyu", "glm4_moe_lite", "gpt_bigcode"),
        *("gpt_neox_japanese", "kimi_linear", "longcat_flash", "minicpm3", "modernbert-decoder", "moshi", "mpt"),
        *("olmo_hybrid", "persimmon", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"),
        *("youtu", "zaya"),
    }
)
"""Types of models with patterns for which the weights of each head are not known (`head_slices`)."""

BY_THEMSELVES = frozenset({"bloom", "codegen", "falcon", "gpt_neo", "gpt_neox_japanese", "gptj", "mpt", "xglm"})
"""Types of models whose layers compute attention by themselves, not through transformers' interface
(`attribution.adapters`)."""

LISTED = "docs/architectures.csv lists the known ones"


def refusal(config: Mapping[str, Any]) -> str | None:
    """Why a model with these fields of a config cannot have patterns; None if it may have."""
    kind = config.get("model_type")
    if kind in WITHOUT_ATTENTION:
        return (
            f"has the type '{kind}', which has no attention and therefore no heads: use a model with attention "
            f"({LISTED})."
        )
    alone = config.get("is_decoder") and not config.get("is_encoder_decoder")
    if not alone and (kind in ENCODER_DECODERS or config.get("is_encoder_decoder")):
        return f"has the type '{kind}', an encoder with a decoder: use a model that is only a decoder ({LISTED})."
    if not alone and kind in ENCODERS:
        return (
            f"has the type '{kind}', an encoder, in which a token sees the tokens after it: use a decoder "
            f"({LISTED}), or set is_decoder to true in its config.json if it was trained as one."
        )
    return None


def check(config: Mapping[str, Any], source: str) -> None:
    """Refuse a model that has no heads, or does not predict the next token from earlier ones.

    Args:
        config: fields of its config.json.
        source: its name in the error.

    Raises:
        InputError: naming the model.
    """
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind = config.get("model_type")
    said = refusal(config)
    known = kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or "auto_map" in config  # transformers reports others
    if not said and isinstance(kind, str) and not known:
        said = (
            f"has the type '{kind}', which has no causal language model in transformers "
            f"{transformers.__version__}: use a decoder ({LISTED})."
        )
    if said:
        raise InputError(f"{source} {said}")


def attention_layers(config: "PretrainedConfig") -> list[int]:
    """Numbers of the layers with attention, ascending: all layers, except in hybrids, whose config lists them."""
    text: Any = config.get_text_config()
    kinds = getattr(text, "layer_types", None) or ["full_attention"] * text.num_hidden_layers
    if getattr(text, "model_type", None) in WITHOUT_ATTENTION:
        return []
    return [layer for layer, kind in enumerate(kinds) if kind not in NOT_ATTENDING]
