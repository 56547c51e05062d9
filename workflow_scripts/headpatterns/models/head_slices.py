"""Which weights belong to a query head: its rows of W_Q, W_K and W_V, and its columns of W_O.

Heads are consecutive in each projection. Biases of the first three are rows as well. The bias of the output, norms of
queries and keys, sinks and other parameters of an attention belong to no head. With grouped queries, the heads of a
group share a key and a value, which move only if all heads of the group move. If one matrix has queries, keys and
values, the class of the attention determines how its rows are split; for other classes this is not known.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float64, Int

from headpatterns.errors import InputError
from headpatterns.models import families
from headpatterns.models import loading as models

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Owners = Int[np.ndarray, " size"]


@dataclass(frozen=True)
class Slices:
    """A parameter of a layer that is divided among heads.

    Attributes:
        name: of the parameter in the model.
        layer: index among the layers with attention.
        axis: along which it is divided: 0 for rows, 1 for columns.
        owners: [size of the axis], the query head or, if shared, the group that each row or column belongs to; −1 for
            none.
        shared: query heads of a group; 1 if each head has its own slice.
    """

    name: str
    layer: int
    axis: int
    owners: Owners
    shared: int

    def taken(self, heads: Bool[np.ndarray, "layers heads"]) -> Int[np.ndarray, " taken"]:
        """The rows or columns that move with some heads; those of a group move only with all of its heads."""
        of_owner = heads[self.layer].reshape(-1, self.shared).all(axis=1)
        return np.flatnonzero((self.owners >= 0) & of_owner[np.maximum(self.owners, 0)])


def slices(model: "PreTrainedModel") -> list[Slices]:
    """All parameters of a model that are divided among heads.

    Raises:
        InputError: it is not known how its attention divides its weights.
    """
    found = known_slices(model)
    if found is None:
        raise InputError(
            f"it is unknown how {type(model).__name__} divides the weights of its attention among heads (for "
            "example, one matrix for queries, keys and values): leave the model out of studies.transplant and "
            "studies.trained_heads, or add the split to headpatterns.models.head_slices."
        )
    return found


def known_slices(model: "PreTrainedModel") -> list[Slices] | None:
    """Like `slices`, but None if it is not known how the attention divides its weights."""
    layers, heads = models.heads_of(model)
    try:
        groups = int(getattr(model.config.get_text_config(), "num_key_value_heads", None) or heads)
    except RuntimeError:  # transformers raises it for a number that differs between layers
        return None
    found: list[Slices] = []
    layer = 0
    for path, module in model.named_modules():
        split = _split_of(module)
        if not split or layer == layers:
            continue
        for name, parts in split(module, heads, groups).items():
            for owners, shared in parts:
                found += _of_projection(f"{path}.{name}", module.get_submodule(name), layer, owners, shared)
        layer += 1
    unknown = layer != layers or model.config.get_text_config().model_type in families.UNDIVIDED
    return None if unknown else found


def move(
    to: "PreTrainedModel",
    weights: "Mapping[str, torch.Tensor]",
    found: list[Slices],
    heads: Bool[np.ndarray, "layers heads"],
) -> None:
    """Write the slices of some heads into a model, from the weights of another by the names of parameters."""
    import torch

    parameters = dict(to.named_parameters())
    with torch.no_grad():
        for one in found:
            taken = torch.as_tensor(one.taken(heads))
            if len(taken):
                target = parameters[one.name]
                index = taken.to(target.device)
                target.index_copy_(one.axis, index, weights[one.name].to(target).index_select(one.axis, index))


def change(
    before: "Mapping[str, torch.Tensor]", after: "Mapping[str, torch.Tensor]", found: list[Slices], heads: int
) -> Float64[np.ndarray, "layers heads"]:
    """Frobenius norm of the change of all weights of each query head; shared weights count for each head of a group.

    The models may be on different devices: the change is computed on the processor, in float64.
    """
    layers = max(one.layer for one in found) + 1
    squares = np.zeros((layers, heads))
    for one in found:
        own, other = (weights[one.name].detach().cpu().double() for weights in (after, before))
        moved = (own - other).square()
        by_place = (moved if moved.dim() == 1 else moved.sum(dim=1 - one.axis)).numpy()
        by_owner = np.bincount(one.owners[one.owners >= 0], by_place[one.owners >= 0], heads // one.shared)
        squares[one.layer] += np.repeat(by_owner, one.shared)
    return np.sqrt(squares)


Split = Mapping[str, Sequence[tuple[Owners, int]]]
"""By the name of a projection, the owner of each output (for the output projection: input), and the heads of a group.

There is one such pair, or two: one for the rows that heads own and one for the rows that groups share.
"""


def _of_projection(path: str, linear: Any, layer: int, owners: Owners, shared: int) -> list[Slices]:
    """The weight of a projection, and its bias if the outputs are divided."""
    is_output = len(owners) and path.rsplit(".", 1)[-1] in OUTPUTS
    stored_transposed = type(linear).__name__ == "Conv1D"
    axis = int(bool(is_output) != stored_transposed)
    found = [Slices(f"{path}.weight", layer, axis, owners, shared)]
    if not is_output and getattr(linear, "bias", None) is not None:
        found.append(Slices(f"{path}.bias", layer, 0, owners, shared))
    return found


OUTPUTS = ("o_proj", "out_proj", "dense", "c_proj")
"""Names of the output projection in model families."""


def _split_of(module: Any) -> Callable[[Any, int, int], Split] | None:
    """How the weights of a module are divided; None if it is not a known attention."""
    if type(module).__name__ in FUSED:
        return FUSED[type(module).__name__]
    # Gemma 4 has layers without values of their own, whose projection is None.
    separate = all(getattr(module, f"{name}_proj", None) is not None for name in "qkv")
    return _separate if separate and any(hasattr(module, name) for name in OUTPUTS) else None


def _even(size: int, owners: int) -> Owners:
    """The same number of consecutive places for each owner."""
    return np.repeat(np.arange(owners), size // owners)


def _separate(module: Any, heads: int, groups: int) -> Split:
    """Separate matrices (Llama, Gemma, OPT, Qwen, Mistral and related families)."""
    output = next(name for name in OUTPUTS if hasattr(module, name))
    shared = heads // groups
    rows = {name: len(getattr(module, name).weight) for name in ("q_proj", "k_proj", "v_proj")}
    return {
        "q_proj": [(_even(rows["q_proj"], heads), 1)],
        "k_proj": [(_even(rows["k_proj"], groups), shared)],
        "v_proj": [(_even(rows["v_proj"], groups), shared)],
        output: [(_even(getattr(module, output).weight.shape[1], heads), 1)],
    }


def _gpt2(module: Any, heads: int, groups: int) -> Split:
    """Queries of all heads, then keys of all heads, then values of all heads."""
    size = module.c_proj.weight.shape[0]
    return {"c_attn": [(np.tile(_even(size, heads), 3), 1)], "c_proj": [(_even(size, heads), 1)]}


def _gpt_neox(module: Any, heads: int, groups: int) -> Split:
    """Query, key and value of one head after another."""
    rows, columns = module.query_key_value.weight.shape[0], module.dense.weight.shape[1]
    return {"query_key_value": [(_even(rows, heads), 1)], "dense": [(_even(columns, heads), 1)]}


def _phi3(module: Any, heads: int, groups: int) -> Split:
    """All queries, then all keys, then all values."""
    size = module.o_proj.weight.shape[1] // heads
    queries, pairs = _even(heads * size, heads), np.tile(_even(groups * size, groups), 2)
    own = np.concatenate([queries, np.full(len(pairs), -1)])
    shared = np.concatenate([np.full(len(queries), -1), pairs])
    return {"qkv_proj": [(own, 1), (shared, heads // groups)], "o_proj": [(queries, 1)]}


FUSED: Mapping[str, Callable[[Any, int, int], Split]] = {
    "GPT2Attention": _gpt2,
    "GPTNeoXAttention": _gpt_neox,
    "Phi3Attention": _phi3,
}
"""How attentions with one matrix for queries, keys and values are split, by their class."""
