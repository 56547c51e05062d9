"""The arguments of a layer's attention function that the attention matrix A depends on."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from headpatterns.errors import InputError

KNOWN = frozenset(
    {
        *("scaling", "is_causal", "softcap", "s_aux"),  # used
        *("sliding_window", "dropout"),  # the mask includes the window, and there is no dropout in evaluation
        *("position_ids", "position_embeddings", "cache_position"),  # queries and keys are already rotated
        *("past_key_values", "use_cache"),  # no pass has a cache
        *("output_attentions", "output_hidden_states", "output_router_logits", "return_dict"),
        *("num_items_in_batch", "logits_to_keep", "deterministic"),
    }
)
"""Keywords of an attention function that do not affect A, or affect it only as `AttentionInputs` describes."""

Mask = Bool[Tensor, "#batch #heads positions positions"] | Float[Tensor, "#batch #heads positions positions"]
"""True where a query may attend to a key, or a number that is added to its score."""


@dataclass(frozen=True)
class AttentionInputs:
    """The arguments of a layer's attention function that A depends on.

    Attributes:
        query: [batch, query heads, positions, head size].
        key: [batch, key/value heads, positions, head size].
        value: [batch, key/value heads, positions, value size].
        mask: boolean (True may attend) or added to the scores, [1 or batch, 1 or query heads, positions, positions];
            with None, only `causal` restricts attention.
        causal: whether, without a mask, a position attends only to itself and the positions before it.
        scaling: factor of <q_i, k_j>.
        softcap: c, or None if scores are not capped.
        sinks: [query heads], or None; they have no gradient, because parameters are frozen.
    """

    query: Float[Tensor, "batch heads positions size"]
    key: Float[Tensor, "batch kv_heads positions size"]
    value: Float[Tensor, "batch kv_heads positions value_size"]
    mask: Mask | None
    causal: bool
    scaling: float
    softcap: float | None = None
    sinks: Float[Tensor, " heads"] | None = None

    @classmethod
    def of(
        cls,
        module: torch.nn.Module,
        query: Float[Tensor, "batch heads positions size"],
        key: Float[Tensor, "batch kv_heads positions size"],
        value: Float[Tensor, "batch kv_heads positions value_size"],
        mask: Mask | None,
        scaling: float | None = None,
        is_causal: bool | None = None,
        softcap: float | None = None,
        s_aux: Float[Tensor, "..."] | None = None,
        **settings: Any,
    ) -> "AttentionInputs":
        """From the arguments with which transformers calls an attention function, interpreted as its SDPA does.

        Raises:
            InputError: one of the further arguments is not among `KNOWN`.
        """
        check_keywords(module, settings)
        causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
        scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
        sinks = None if s_aux is None else s_aux.detach().flatten()
        return cls(query, key, value, mask, bool(causal and mask is None), scaling, softcap, sinks)

    @property
    def groups(self) -> int:
        """Query heads that share a key/value head."""
        return self.query.shape[1] // self.key.shape[1]


def number(module: torch.nn.Module) -> int:
    """The number of the layer that an attention belongs to, -1 if several layers share it."""
    layer: Any = module.layer_idx
    return -1 if layer is None else int(layer)


def named(layer: int) -> str:
    """The name of a layer with this number in messages."""
    return f"layer {layer}" if layer >= 0 else "an attention that layers share"


def check_keywords(module: torch.nn.Module, settings: dict[str, Any], *, further: Collection[str] = ()) -> None:
    """Refuse a layer that passes unknown keywords, such as one that attends only to selected positions."""
    for name, value in settings.items():
        if value is not None and name not in KNOWN and name not in further:
            raise InputError(
                f"layer {getattr(module, 'layer_idx', '?')} of the model ({type(module).__name__}) passes "
                f"'{name}' to its attention, which headpatterns.attribution does not know: use another "
                "architecture, or add it there."
            )
