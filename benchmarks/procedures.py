"""The procedures for activation patterns that benchmarks/attribution.py measures, and the reference for comparison.

Each takes a model, samples and their batching, and returns patterns, float32 [samples, layers, query heads], or None if
nothing is recorded.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import common
import numpy as np
import torch
from transformers import PreTrainedModel

from headpatterns.attribution import REDUCTIONS, activation_patterns, passes
from headpatterns.attribution.extraction import unrecorded
from headpatterns.data.batching import batches
from headpatterns.data.tokens import TokenizedSample
from headpatterns.models.projection import head_of

BATCH = 4
"""Samples of a batch in the authors' procedure."""

HELD = 8
"""Bytes of each attention weight that eager attention keeps until the end of the backward pass. In float32 these are
the softmax and its gradient. In 16 bits they are the softmax, also in float32, its copy in the model's dtype, and the
gradient of this copy."""


class Batching(NamedTuple):
    """How samples are batched.

    Attributes:
        tokens: of a batch of ours, padding included.
        padding: tokens that the authors' procedure pads each sample to.
    """

    tokens: int
    padding: int


def recorded(
    model: PreTrainedModel, samples: Sequence[TokenizedSample], batching: Batching, reduction: str
) -> np.ndarray:
    """Our procedure."""
    return activation_patterns(model, samples, reduction=reduction, token_budget=batching.tokens).values


def plain(model: PreTrainedModel, samples: Sequence[TokenizedSample], batching: Batching) -> None:
    """The same passes with the model's own attention, without recording."""
    unrecorded(model, samples, token_budget=batching.tokens)


def eager(model: PreTrainedModel, samples: Sequence[TokenizedSample], batching: Batching) -> np.ndarray:
    """The same passes, batches and padding, with eager attention and the gradients of its matrices; `abs_of_sum`."""
    values, head = {}, head_of(model)
    with passes.frozen(model), attention_matrices(model) as kept:
        for indices in batches([len(sample.input_ids) for sample in samples], batching.tokens):
            passes.backward(model, head, [samples[index] for index in indices])
            values.update(zip(indices, sums(kept), strict=True))
    return np.array([values[index] for index in range(len(samples))])


def published(model: PreTrainedModel, samples: Sequence[TokenizedSample], batching: Batching) -> np.ndarray:
    """The procedure that the authors published; `abs_of_sum`.

    It uses eager attention that keeps its matrices and, with `retain_grad`, their gradients. Batches have `BATCH`
    samples in the order of the data, padded to a fixed number of tokens (or to the longest sample, if it is longer). It
    computes logits of all positions, and gradients of all parameters too. The loss is the mean over all response tokens
    of a batch, so the share of a sample is proportional to its response. The values here are divided by this share, to
    be comparable.
    """
    width = max(batching.padding, *(len(sample.input_ids) for sample in samples))
    values = []
    with attention_matrices(model) as kept:
        for start in range(0, len(samples), BATCH):
            batch = samples[start : start + BATCH]
            input_ids, mask, labels = (
                torch.nn.functional.pad(tensor, (0, width - tensor.shape[1]), value=value)
                for tensor, value in zip(passes.pad(batch, model.device), (0, 0, passes.IGNORED), strict=True)
            )
            model(input_ids=input_ids, attention_mask=mask, labels=labels, use_cache=False).loss.backward()
            responses = np.array([sample.response_tokens for sample in batch])
            values.append(sums(kept) * (responses.sum() / responses)[:, None, None])
            model.zero_grad(set_to_none=True)
    return np.concatenate(values)


def reference(model: PreTrainedModel, samples: Sequence[TokenizedSample]) -> dict[str, np.ndarray]:
    """Patterns in all reductions by the direct method: eager attention, one sample at a time without padding."""
    values: dict[str, list[np.ndarray]] = {reduction: [] for reduction in REDUCTIONS}
    with attention_matrices(model) as kept:
        for sample in samples:
            input_ids, _, labels = passes.pad([sample], model.device)
            loss = model(input_ids=input_ids, labels=labels, use_cache=False).loss
            gradients = torch.autograd.grad(loss, kept)
            products = [A[0].detach().float() * G[0].float() for A, G in zip(kept, gradients, strict=True)]
            found = {
                "abs_of_sum": [product.sum((1, 2)).abs() for product in products],
                "sum_of_abs": [product.abs().sum((1, 2)) for product in products],
                "abs_per_position": [product.sum(2).abs().sum(1) for product in products],
            }
            for reduction, layers in found.items():
                values[reduction].append(torch.stack(layers).cpu().numpy())
    return {reduction: np.stack(patterns) for reduction, patterns in values.items()}


@contextmanager
def attention_matrices(model: PreTrainedModel) -> Iterator[list[torch.Tensor]]:
    """Within the block attention is eager, and each forward pass stores its matrices A [B, H, T, T] in the list.

    There is one matrix per layer; their gradients are retained.
    """
    kept: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, inputs: tuple, output: object) -> None:
        kept[:] = output.attentions
        for A in kept:
            A.retain_grad()

    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    model.config.get_text_config().output_attentions = True
    hook = model.get_decoder().register_forward_hook(keep)
    try:
        yield kept
    finally:
        hook.remove()
        kept.clear()
        model.config.get_text_config().output_attentions = False
        model.set_attn_implementation(before)


def sums(kept: Sequence[torch.Tensor]) -> np.ndarray:
    """`| Σ_ij A_ij G_ij |` from the matrices and gradients of a backward pass: [batch, layers, heads]."""
    products = [(A.detach() * A.grad).sum((2, 3), dtype=torch.float32) for A in kept]
    return torch.stack(products, dim=1).abs().cpu().numpy()


def held_bytes(procedure: str, model: PreTrainedModel, samples: Sequence[TokenizedSample], batching: Batching) -> int:
    """Bytes of all attention matrices and gradients that a procedure keeps at once, plus temporary ones of a layer."""
    lengths = [len(sample.input_ids) for sample in samples]
    squares = {
        "published": min(BATCH, len(samples)) * max(batching.padding, *lengths) ** 2,
        "eager": max(len(batch) * lengths[batch[0]] ** 2 for batch in batches(lengths, batching.tokens)),
        "reference": max(lengths) ** 2,
    }
    text = model.config.get_text_config()
    return HELD * (text.num_hidden_layers + 3) * text.num_attention_heads * squares.get(procedure, 0)


def operations(model: PreTrainedModel, samples: Sequence[TokenizedSample]) -> float:
    """Operations of a forward pass and a backward pass through activations, as attribution.py counts them."""
    projection = model.get_output_embeddings().weight
    outside = {id(module.weight): module.weight for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    outside[id(projection)] = projection
    inside = model.num_parameters() - sum(weight.numel() for weight in outside.values())
    lengths = [len(sample.input_ids) for sample in samples]
    responses = sum(sample.response_tokens for sample in samples)
    products = 4 * (inside * sum(lengths) + projection.numel() * responses)
    return products + common.causal_attention(model.config, lengths)


PROCEDURES: dict[str, Callable[[PreTrainedModel, Sequence[TokenizedSample], Batching], np.ndarray | None]] = {
    **{reduction: partial(recorded, reduction=reduction) for reduction in REDUCTIONS},
    "unrecorded": plain,
    "eager": eager,
    "published": published,
}
