"""Whether the results of a sample are independent of the rest of its batch, as losses, patterns and training assume.

In most models they are, except for rounding. LongRoPE chooses its frequencies by the longest sample of a batch, experts
of limited capacity leave tokens out when others came first, and a kernel may ignore the mask of padding. The config
shows LongRoPE, and samples on either side of its limit never share a batch. A test of a few short samples shows the
others.
"""

import itertools
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

import numpy as np

from headpatterns.errors import InputError
from headpatterns.models.first_layers import on_first_layers

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

LENGTHS = (3, 5, 7)
"""Tokens of a short, a middle and a long sample: few, because every model that is loaded is tested."""

TOLERANCE = {"float64": 1e-3, "float32": 1e-3, "float16": 0.05, "bfloat16": 0.1}
"""By dtype, how far apart two readings of a sample may be: the norm of the difference, relative to that of a reading.
Rounding makes 1e-6 in float32; what other samples do to one is of the order of the reading itself."""

Reading = Sequence[Any]
"""Arrays of one sample, such as its loss and its pattern."""


def turn(config: "PretrainedConfig") -> int | None:
    """The length beyond which a model reads every position of a text in another way; None with nearly all models.

    LongRoPE does so, and looks at the longest text of a batch: those on either side of it must not share one, and each
    must be read with all of its tokens.
    """
    text: Any = config.get_text_config()
    rope = getattr(text, "rope_parameters", None) or {}
    nested = [rope, *(value for value in rope.values() if isinstance(value, dict))]
    if not any(one.get("rope_type") == "longrope" for one in nested):
        return None
    own = (one.get("original_max_position_embeddings") for one in nested)
    return next((length for length in own if length), None) or getattr(text, "original_max_position_embeddings", None)


class Finding(Enum):
    """What two readings of a sample show."""

    ALIKE = auto()
    DEPENDS = auto()
    CHANGES = auto()
    """A second reading of the same batch gives another result."""
    UNREADABLE = auto()


def depends(model: "PreTrainedModel", read: Callable[[list[list[int]]], Sequence[Reading] | None]) -> bool:
    """Whether the result of a sample differs between a batch with other samples and a batch of its own.

    With so few tokens, a pass takes as long as reading the weights. So there are only two passes, through the first
    layers of every kind (`first_layers`); a model that cannot run with fewer layers is tested with all of them.

    Args:
        model: what reads.
        read: gives the arrays of each sample of a batch, or None where it cannot read the batch; the error then shows
            with the samples that the user gives.

    Raises:
        InputError: the result of a sample differs when the model reads it a second time.
    """
    found = on_first_layers(model, lambda: _compare(model, read))
    if found is Finding.UNREADABLE:
        found = _compare(model, read)
    if found is Finding.CHANGES:
        raise InputError(
            f"{type(model).__name__} gives a sample another result when it reads it a second time, so losses and "
            "patterns would depend on what it read before: use another architecture or dtype."
        )
    return found is Finding.DEPENDS


def _compare(model: "PreTrainedModel", read: Callable[[list[list[int]]], Sequence[Reading] | None]) -> Finding:
    """What the readings of a sample alone and among others show, of the layers that the model has at the moment.

    The sample that is also read alone is the one to which most can happen. It is padded, and has shorter and longer
    samples before and after it. The first and the last sample of the batch are the same.
    """
    embeddings: Any = model.get_input_embeddings()
    tokens = iter([token % int(embeddings.num_embeddings) for token in range(3, 3 + sum(LENGTHS))])
    short, middle, long = (list(itertools.islice(tokens, length)) for length in LENGTHS)
    alone, together = read([middle]), read([short, long, middle, short])
    if alone is None or together is None:
        return Finding.UNREADABLE
    tolerance = TOLERANCE.get(str(model.dtype).removeprefix("torch."), max(TOLERANCE.values()))
    first, _, among, last = together
    if _alike(among, alone[0], tolerance) and _alike(last, first, tolerance):
        return Finding.ALIKE
    again = read([middle])
    return Finding.DEPENDS if again and _alike(again[0], alone[0], tolerance) else Finding.CHANGES


def _alike(found: Reading, wanted: Reading, tolerance: float) -> bool:
    """Whether all arrays are the same but for rounding; what is not finite alone tells nothing."""
    pairs = [
        (np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)) for a, b in zip(found, wanted, strict=True)
    ]
    return all(
        not np.isfinite(alone).all() or np.linalg.norm(beside - alone) <= tolerance * np.linalg.norm(alone)
        for beside, alone in pairs
    )


def logits_depend(model: "PreTrainedModel") -> bool:
    """Whether the logits of a sample depend on what shares its batch; the model reads as in evaluation.

    Raises:
        InputError: as `depends`.
    """
    import torch

    def read(batch: list[list[int]]) -> list[Reading]:
        width = max(map(len, batch))
        ids = torch.tensor([[*sample, *[0] * (width - len(sample))] for sample in batch], device=model.device)
        mask = torch.tensor([[1] * len(sample) + [0] * (width - len(sample)) for sample in batch], device=model.device)
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float().cpu().numpy()
        return [(logits[row, : len(sample)],) for row, sample in enumerate(batch)]

    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return depends(model, read)
    finally:
        model.train(training)


def check_micro_batches(model: "PreTrainedModel", samples: Sequence[dict[str, list[int]]]) -> None:
    """Refuse to train on several samples at a time where each would then be learnt as others allow.

    Raises:
        InputError: the model reads samples otherwise beside each other.
    """
    name, fix = (
        type(model).__name__,
        "set per_device_batch_size of the recipe to 1, with more gradient_accumulation_steps",
    )
    border = turn(model.config)
    if border is not None:
        lengths = [len(sample["input_ids"]) for sample in samples]
        if min(lengths) <= border < max(lengths):
            raise InputError(
                f"{name} reads micro-batches in another way if a sample has more than {border} tokens, and the "
                f"training set has samples of {min(lengths)} to {max(lengths)} tokens: {fix}, or the maximum "
                f"length to {border}."
            )
    if logits_depend(model):
        raise InputError(
            f"{name} gives a sample another result if the batch has other samples, so training would depend on "
            f"the micro-batch: {fix}."
        )
