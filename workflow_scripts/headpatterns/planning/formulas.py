"""What an experiment costs, in closed formulas: parameters of a model, floating-point operations, bytes on the disk.

Operations are counted as in Kaplan et al. (2020, arXiv 2001.08361): a forward pass takes two a parameter and token, a
backward pass twice as many, of which half belong to the weights. Nothing here reads a file or imports a library.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

TRAINING, CHECKPOINTED, PATTERNS, PREFILL = 3, 4, 2, 1
"""Forward passes that each kind of work is worth: forward and backward; with the forward pass repeated where gradient
checkpointing has dropped the activations; backward through activations alone, the weights frozen; forward alone."""

ADAPTERS, CHECKPOINTED_ADAPTERS = 2, 3
"""The same of training adapters on frozen weights, whose own passes are counted like those of other parameters."""

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number."""

STATES_AT_ONCE = 3
"""States to resume from of one run: two are kept, and the older goes only once a third is written."""


@dataclass(frozen=True)
class Model:
    """The size of a decoder.

    Attributes:
        parameters: of the whole model; tied embeddings count once.
        layers, heads: layers, and query heads of a layer.
        width: query heads × head size, which attention works on.
        hidden: width of the hidden states, which is another one where the head size is set apart.
        bytes: its files on the disk.
    """

    parameters: int
    layers: int
    heads: int
    width: int
    hidden: int
    bytes: int


def model(architecture: Mapping[str, Any], vocabulary: int) -> Model | None:
    """The size of a model from the fields of its transformers config, stored in float32.

    None for an architecture whose parameters no formula here counts, or that leaves a size to the library's default.
    """
    count = {"llama": _gated, "mistral": _gated, "gemma": _gated, "opt": _opt}.get(architecture["model_type"])
    tied = architecture.get("tie_word_embeddings", architecture["model_type"] in {"gemma", "opt"})
    try:
        parameters = count(architecture, vocabulary, tied) if count else None
    except KeyError:
        return None
    if parameters is None:
        return None
    hidden, heads = architecture["hidden_size"], architecture["num_attention_heads"]
    width = heads * architecture.get("head_dim", hidden // heads)
    return Model(parameters, architecture["num_hidden_layers"], heads, width, hidden, 4 * parameters)


def _gated(architecture: Mapping[str, Any], vocabulary: int, tied: bool) -> int:
    """Llama and its kin: gated feed-forward blocks, two norms a layer, no biases."""
    hidden, heads = architecture["hidden_size"], architecture["num_attention_heads"]
    # Where the library's default is not what Llama's is, the config must say it.
    defaults = {"llama": {"num_key_value_heads": heads, "head_dim": hidden // heads}, "mistral": {"head_dim": None}}
    stated = {**defaults.get(architecture["model_type"], {}), **architecture}
    head = stated["head_dim"] or hidden // heads
    attention = 2 * hidden * head * (heads + stated["num_key_value_heads"])
    layer = attention + 3 * hidden * architecture["intermediate_size"] + 2 * hidden
    return int(layer * architecture["num_hidden_layers"] + hidden + (1 if tied else 2) * vocabulary * hidden)


def _opt(architecture: Mapping[str, Any], vocabulary: int, tied: bool) -> int:
    """OPT: learnt positions (two more than it can read), biases everywhere, two norms a layer and one at the end."""
    hidden, inner = architecture["hidden_size"], architecture["ffn_dim"]
    layer = 4 * (hidden + 1) * hidden + (hidden + 1) * inner + (inner + 1) * hidden + 4 * hidden
    projected = architecture["word_embed_proj_dim"]
    projections = 2 * hidden * projected if projected != hidden else 0
    embeddings = (1 if tied else 2) * vocabulary * projected + (architecture["max_position_embeddings"] + 2) * hidden
    return int(layer * architecture["num_hidden_layers"] + embeddings + projections + 2 * hidden)


def adapters(size: Model, rank: int) -> Model:
    """What LoRA trains of a model, as a model of its own: parameters and their bytes in float32.

    A weight of in × out gets rank × (in + out). The shapes are not known here: if all weights were squares, and their
    side were the geometric mean of `width` and `hidden`, there would be 2 × rank × parameters / side. The paper's
    models have about three quarters of that, because their feed-forward blocks are wider; lists of target modules have
    less.
    """
    count = math.ceil(2 * rank * size.parameters / math.sqrt(size.width * size.hidden))
    return replace(size, parameters=count, bytes=4 * count)


def training(size: Model, trained: Model, tokens: float, length: float, checkpointed: bool) -> float:
    """Operations of training on `tokens` tokens; `trained` is the model itself, or its `adapters`."""
    if trained is size:
        return (CHECKPOINTED if checkpointed else TRAINING) * forward(size, tokens, length)
    passes = CHECKPOINTED_ADAPTERS if checkpointed else ADAPTERS
    own = TRAINING + checkpointed
    return passes * forward(size, tokens, length) + own * 2 * trained.parameters * tokens


def attention(size: Model) -> int:
    """Parameters of the projections of all heads; where heads share keys and values, there are fewer."""
    return 4 * size.layers * size.width * size.hidden


def training_heads(size: Model, tokens: float, length: float, checkpointed: bool) -> float:
    """Operations of training the weights of heads alone: back through activations, and the gradients of their weights.

    All heads are counted, however many are trained.
    """
    passes = CHECKPOINTED_ADAPTERS if checkpointed else ADAPTERS
    return passes * forward(size, tokens, length) + 2 * attention(size) * tokens


def forward(size: Model, tokens: float, length: float) -> float:
    """Operations of a forward pass over `tokens` tokens in sequences of `length`.

    2 P a token, and for attention, which each token pays to those before it, 2 × layers × width × length.
    """
    return tokens * (2 * size.parameters + 2 * size.layers * size.width * length)


def steps(samples: int | None, epochs: float, max_steps: int | None, micro_batch: int, accumulation: int) -> int | None:
    """Optimizer steps of a run, as the Trainer counts them: the last step of an epoch may be smaller.

    `micro_batch` is what all devices read at a time. None where neither `samples` nor `max_steps` is known.
    """
    if max_steps is not None or samples is None:
        return max_steps
    return math.ceil(epochs * math.ceil(math.ceil(samples / micro_batch) / accumulation))


def intermediate(checkpoint_steps: list[int], last: int) -> list[int]:
    """The steps of a run at which weights are kept apart from the last."""
    return [step for step in sorted(checkpoint_steps) if step < last]


def state_bytes(size: Model, engine: str, precision: str) -> int:
    """A state to resume from: the trained weights and the optimizer's two moments, 12 bytes a parameter.

    DeepSpeed stores the model's weights twice, in the precision of training, and float32 weights with the moments.
    """
    return size.parameters * (2 * (2 if precision == "bf16" else 4) + 12 if engine == "deepspeed" else 12)


def heads_state_bytes(size: Model) -> int:
    """The same where the weights of heads alone are trained: all weights, and two moments of those of heads."""
    return 4 * size.parameters + 8 * attention(size)


def states(last: int, resume_every: int) -> int:
    """States that lie on the disk at once; the last step needs none."""
    return min(STATES_AT_ONCE, (last - 1) // resume_every) if last else 0


def pattern_bytes(size: Model, samples: int, reductions: int) -> int:
    """The arrays of one checkpoint on one probe set: float32 [samples, layers, heads] in each reduction, and a mean."""
    return 4 * size.layers * size.heads * (reductions * samples + 1)


def gpu_training_bytes(size: Model, engine: str, precision: str, optimizer: str, devices: int) -> float:
    """Memory of a GPU that training takes for weights, gradients and optimizer; activations come on top.

    PyTorch holds float32 weights, gradients and two moments. ZeRO-2 holds the weights on every device and splits
    gradients, float32 weights and moments, or leaves the last two to the host.
    """
    if engine == "pytorch":
        return 16 * size.parameters
    number = 2 if precision == "bf16" else 4
    moments = 0 if optimizer == "adamw_offloaded" else 12
    return size.parameters * (number + (number + moments) / devices)


def gpu_heads_bytes(size: Model) -> int:
    """The same where the weights of heads alone are trained: all weights; of heads gradients, moments and a copy."""
    return 4 * size.parameters + 16 * attention(size)


def gpu_adapter_bytes(size: Model, trained: Model, engine: str, precision: str, optimizer: str, devices: int) -> float:
    """The same of adapters: frozen weights on every device, and what training takes for the adapters.

    In mixed precision the weights keep the two bytes that they are stored in; DeepSpeed casts them to two anyway.
    """
    stored = size.bytes / size.parameters
    number = 2 if precision == "bf16" and (engine == "deepspeed" or stored < BYTES["float32"]) else 4
    return number * size.parameters + gpu_training_bytes(trained, engine, precision, optimizer, devices)
