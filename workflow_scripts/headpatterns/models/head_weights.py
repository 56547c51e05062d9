"""The weights that belong to one query head: its slices of the projections to queries, keys, values and output.

Heads lie one after another in each projection. With grouped queries, the heads of a group share the slices of their key
and value. Where one matrix holds queries, keys and values, the class of the attention says how it is split.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from headpatterns.models import loading as models

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def change(before: "PreTrainedModel", after: "PreTrainedModel") -> Float64[np.ndarray, "layers heads"]:
    """Frobenius norm of the change of all slices of each query head: float64 [layers, query heads].

    Raises:
        NotImplementedError: as `slices`.
    """
    norms = []
    for old, new in zip(slices(before), slices(after), strict=True):
        squares = [(new[name].double().cpu() - old[name].double().cpu()).square().sum(dim=1) for name in old]
        norms.append(sum(squares[1:], squares[0]).sqrt().numpy())
    return np.stack(norms)


def slices(model: "PreTrainedModel") -> "list[dict[str, torch.Tensor]]":
    """The slices of all heads of each layer that attends, in the order of the layers.

    Returns:
        For each layer [query heads, weights of the head] by projection: q, k, v and o.

    Raises:
        NotImplementedError: the weights are not known to be split by head; its text completes "... is left out: ".
    """
    layers, heads = models.heads_of(model)
    config = model.config.get_text_config()
    pairs = getattr(config, "num_key_value_heads", None) or heads
    found = []
    for module in model.modules():
        split = _split_of(module)
        if split:
            found.append({name: _by_head(weight, heads) for name, weight in split(module, heads, pairs).items()})
    if len(found) != layers:
        raise NotImplementedError(
            f"it is not known how {type(model).__name__} splits the weights of its attention by head"
        )
    return found


def _by_head(weight: "torch.Tensor", heads: int) -> "torch.Tensor":
    """[key/value or query heads, ...] to [query heads, weights], shared slices repeated."""
    flat = weight.detach().flatten(1)
    return flat.repeat_interleave(heads // len(flat), dim=0)


def _split_of(module: Any) -> "Callable[[Any, int, int], dict[str, torch.Tensor]] | None":
    """How the weights of a module are split; None where it is no attention that is known."""
    if type(module).__name__ in FUSED:
        return FUSED[type(module).__name__]
    separate = all(hasattr(module, name) for name in ("q_proj", "k_proj", "v_proj"))
    return _separate if separate and any(hasattr(module, name) for name in OUTPUTS) else None


OUTPUTS = ("o_proj", "out_proj", "dense")
"""What families call the projection of the output."""


def _rows(linear: Any, transposed: bool = False) -> "torch.Tensor":
    """Weights of a projection, [outputs, inputs], with the biases as a further column."""
    import torch

    weight = linear.weight.T if transposed else linear.weight
    bias = getattr(linear, "bias", None)
    return weight if bias is None else torch.cat([weight, bias[:, None]], dim=1)


def _separate(module: Any, heads: int, pairs: int) -> "dict[str, torch.Tensor]":
    """One matrix each (Llama, Gemma, OPT, Qwen, Mistral and their kin)."""
    output = next(getattr(module, name) for name in OUTPUTS if hasattr(module, name))
    found = {name: _rows(getattr(module, f"{name}_proj")) for name in "qkv"}
    counts = {"q": heads, "k": pairs, "v": pairs}
    return {
        **{name: found[name].unflatten(0, (counts[name], -1)) for name in found},
        "o": _output(output.weight, heads),
    }


def _output(weight: "torch.Tensor", heads: int) -> "torch.Tensor":
    """Columns of the output projection [hidden, heads · size] by head."""
    found: torch.Tensor = weight.T.unflatten(0, (heads, -1))
    return found


def _gpt2(module: Any, heads: int, pairs: int) -> "dict[str, torch.Tensor]":
    """Queries, keys and values of all heads after each other, in a matrix that is stored the other way round."""
    parts = _rows(module.c_attn, transposed=True).chunk(3)
    named = {name: part.unflatten(0, (heads, -1)) for name, part in zip("qkv", parts, strict=True)}
    return {**named, "o": module.c_proj.weight.unflatten(0, (heads, -1))}


def _gpt_neox(module: Any, heads: int, pairs: int) -> "dict[str, torch.Tensor]":
    """Query, key and value of one head after another."""
    by_head = _rows(module.query_key_value).unflatten(0, (heads, 3, -1))
    return {**{name: by_head[:, place] for place, name in enumerate("qkv")}, "o": _output(module.dense.weight, heads)}


def _phi3(module: Any, heads: int, pairs: int) -> "dict[str, torch.Tensor]":
    """All queries, then all keys, then all values."""
    rows = _rows(module.qkv_proj)
    size = len(rows) // (heads + 2 * pairs)
    queries, keys, values = rows.split([heads * size, pairs * size, pairs * size])
    named = {"q": queries.unflatten(0, (heads, -1)), "k": keys.unflatten(0, (pairs, -1)),
             "v": values.unflatten(0, (pairs, -1))}  # fmt: skip
    return {**named, "o": _output(module.o_proj.weight, heads)}


FUSED = {"GPT2Attention": _gpt2, "GPTNeoXAttention": _gpt_neox, "Phi3Attention": _phi3}
"""How attentions with one matrix for queries, keys and values are split, by their class."""
