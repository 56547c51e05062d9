"""Attention over samples in one row, where the kernel knows of no samples: that of each sample by itself.

SDPA would take a mask of all tokens by all tokens, of which samples one after another use a small part. On processors
a call for each sample takes less time than to pad the samples and to drop the padding again.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "headpatterns_packed"
"""What transformers calls the function below. A model that has it computes other micro-batches by SDPA, as before."""


def attention(
    module: torch.nn.Module,
    query: Float[torch.Tensor, "1 heads tokens size"],
    key: Float[torch.Tensor, "1 kv_heads tokens size"],
    value: Float[torch.Tensor, "1 kv_heads tokens value_size"],
    attention_mask: torch.Tensor | None,
    cu_seq_lens_q: Int[torch.Tensor, " samples+1"] | None = None,
    **settings: Any,
) -> tuple[Float[torch.Tensor, "1 tokens heads value_size"], None]:
    """Causal attention within each sample of a row.

    `cu_seq_lens_q` are the places at which samples begin, and the number of tokens at the end, as FlashAttention takes
    them; without it this is the library's SDPA.
    """
    if cu_seq_lens_q is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    lengths = cu_seq_lens_q.diff().tolist()
    each = (heads.split(lengths, dim=2) for heads in (query, key, value))
    outputs = [sdpa_attention_forward(module, q, k, v, None, **settings)[0] for q, k, v in zip(*each, strict=True)]
    return torch.cat(outputs, dim=1), None


def fits(model: PreTrainedModel) -> bool:
    """Whether this takes less time than the model's own attention: where that is SDPA, on processors."""
    return model.device.type == "cpu" and model.config._attn_implementation == "sdpa"


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
