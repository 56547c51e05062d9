"""Attention over samples in one row, where the kernel knows of no samples: padded for the attention, and there alone.

SDPA would take a mask of all tokens by all tokens, of which samples one after another use a small part. Linear layers,
norms and activations, which are most of the work of a short sample, see no padding.
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
    taken, real = _places(cu_seq_lens_q)
    query, key, value = (_padded(heads, taken) for heads in (query, key, value))
    output, _ = sdpa_attention_forward(module, query, key, value, None, **settings)
    return output.flatten(0, 1).flatten(1).index_select(0, real).view(1, -1, *output.shape[2:]), None


def _places(
    bounds: Int[torch.Tensor, " samples+1"],
) -> tuple[Int[torch.Tensor, "samples longest"], Int[torch.Tensor, " tokens"]]:
    """Which token of the row is at each place of the padded samples, and which of these places are no padding.

    Padding repeats the last token of its sample. It is behind every token that could attend to it.
    """
    lengths = bounds.diff()[:, None]
    within = torch.arange(int(lengths.max()), device=bounds.device)
    taken = bounds[:-1, None] + torch.minimum(within, lengths - 1)
    return taken, (within < lengths).flatten().nonzero().squeeze(1)


def _padded(
    heads: Float[torch.Tensor, "1 heads tokens size"], taken: Int[torch.Tensor, "samples longest"]
) -> Float[torch.Tensor, "samples heads longest size"]:
    """Queries, keys or values of a row as a padded batch."""
    tokens = heads.squeeze(0).transpose(0, 1)
    chosen = tokens.flatten(1).index_select(0, taken.flatten())
    return chosen.view(*taken.shape, *tokens.shape[1:]).transpose(1, 2)


def fits(model: PreTrainedModel) -> bool:
    """Whether this takes less time than the model's own attention: where that is SDPA, on processors."""
    return model.device.type == "cpu" and model.config._attn_implementation == "sdpa"


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
