"""Per-sample activation patterns of a model: the frozen forward and backward pass around the recording attention."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from headpatterns.attribution import passes
from headpatterns.attribution.recording import recording
from headpatterns.attribution.reductions import REDUCTIONS
from headpatterns.errors import InputError
from headpatterns.tokenization import TokenizedSample


@dataclass(frozen=True)
class Patterns:
    """What `activation_patterns` gives back; rows in the order of the samples.

    Attributes:
        values: float32 [samples, layers, query heads], un-averaged; the mean over samples is AP of Eq. 2.
        losses: float64 [samples], mean negative log-likelihood of the response tokens, EOS included (nats).
    """

    values: np.ndarray
    losses: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """The activation pattern: float32 [layers, query heads], accumulated in float64."""
        return self.values.mean(axis=0, dtype=np.float64).astype(np.float32)


def activation_patterns(
    model: PreTrainedModel,
    samples: Sequence[TokenizedSample],
    *,
    reduction: str = "abs_of_sum",
    token_budget: int = 8192,
    progress: Callable[[int, int], None] | None = None,
) -> Patterns:
    """Activation pattern of every sample (Eq. 2), for every layer and query head.

    The loss is per sample and parameters are frozen, so a pattern depends neither on the samples that share a batch
    nor on padding, and costs one forward pass and one backward pass through activations.

    Args:
        model: a causal language model of transformers; it is left as it was found.
        samples: tokenized instructions; their order is kept.
        reduction: one of `REDUCTIONS`.
        token_budget: tokens a batch may hold, padding included; a longer sample is a batch of its own.
        progress: called with (samples done, samples in all) after each batch.

    Raises:
        InputError: a sample without response tokens or beyond the model's positions, a loss or gradient that is not
            finite (naming sample and layer), or a model whose attention or logits cannot be reached.
    """
    passes.check_samples(model, samples)
    if reduction not in REDUCTIONS:
        raise InputError(f"unknown reduction '{reduction}': use one of {', '.join(REDUCTIONS)}.")
    text = model.config.get_text_config()
    values = np.empty((len(samples), text.num_hidden_layers, text.num_attention_heads), dtype=np.float32)
    losses = np.empty(len(samples), dtype=np.float64)
    done = 0
    with passes.frozen(model):
        shortest = min(samples, key=lambda sample: len(sample.input_ids))
        own_logits = passes.own_logits(model, shortest)
        with recording(model, reduction) as recorded:
            passes.check_logits(model, shortest, own_logits)
            for indices in passes.batches([len(sample.input_ids) for sample in samples], token_budget):
                batch = [samples[index] for index in indices]
                recorded.clear()
                losses[indices] = passes.backward(model, batch)
                values[indices] = _collect(model, recorded, batch, values.shape[1:])
                done += len(batch)
                if progress:
                    progress(done, len(samples))
    return Patterns(values, losses)


def _collect(
    model: PreTrainedModel,
    recorded: dict[int, torch.Tensor],
    batch: Sequence[TokenizedSample],
    shape: tuple[int, int],
) -> np.ndarray:
    """What the layers recorded for a batch, float32 [batch, layers, heads], checked to be complete and finite."""
    missing = sorted(set(range(shape[0])) - recorded.keys())
    if missing:
        raise InputError(
            f"layers {missing} of {type(model).__name__} gave no gradient: their attention does not go through "
            "transformers' AttentionInterface, so their heads cannot be seen; use an architecture that does."
        )
    values = torch.stack([recorded[layer] for layer in range(shape[0])], dim=1).cpu().numpy()
    broken = np.argwhere(~np.isfinite(values).all(axis=2))
    if len(broken):
        # The backward pass runs from the last layer to the first: what breaks it shows at the largest index.
        sample, layer = max(broken, key=lambda place: place[1])
        raise InputError(
            f"the gradient of layer {layer} for sample '{batch[sample].id}' is not finite: the checkpoint or its "
            "precision is broken (try float32)."
        )
    return values
