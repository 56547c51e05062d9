"""The ways to activation patterns that benchmarks/attribution.py measures, and the one that they are checked against.

Each takes a model, samples and how they are batched, and returns patterns, float32 [samples, layers, query heads], or
None where nothing is recorded.
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
"""Bytes that eager attention holds of each weight to the end of the backward pass: in float32 the softmax and its
gradient; in 16 bits the softmax, of float32 there too, its copy in the model's dtype, and the gradient of that."""


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
    """Ours."""
    return activation_patterns(model, samples, reduction=reduction, token_budget=batching.tokens).values


def plain(model: PreTrainedModel, samples: Sequence[TokenizedSample], batching: Batching) -> None:
    """The same passes with the model's own attention and nothing recorded."""
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

    Eager attention that keeps its matrices and, by `retain_grad`, their gradients; batches of `BATCH` samples in the
    order of the data, padded to a fixed number of tokens (to the longest sample, where that is longer); logits of all
    positions; gradients of all parameters, too. The loss is the mean over all response tokens of a batch, in which a
    sample has a share as large as its response. That share is taken out of the values here, which are then comparable.
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
    """Patterns in all reductions by the textbook: eager attention, one sample at a time without padding."""
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
    """Within the block attention is eager, and each forward pass leaves its matrices A [B, H, T, T] in the list.

    One matrix a layer; their gradients are retained.
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
    """`| Σ_ij A_ij G_ij |` of what a backward pass has left: [batch, layers, heads]."""
    products = [(A.detach() * A.grad).sum((2, 3), dtype=torch.float32) for A in kept]
    return torch.stack(products, dim=1).abs().cpu().numpy()


def held_bytes(procedure: str, model: PreTrainedModel, samples: Sequence[TokenizedSample], batching: Batching) -> int:
    """Bytes of all attention matrices and their gradients that a procedure holds at once, and what a layer works on."""
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
