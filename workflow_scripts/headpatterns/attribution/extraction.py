"""Per-sample activation patterns of a model: the frozen forward and backward pass around the recording attention."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from headpatterns import models
from headpatterns.attribution.recording import recording
from headpatterns.attribution.reductions import REDUCTIONS
from headpatterns.errors import InputError, first_line
from headpatterns.tokenization import IGNORED, TokenizedSample

LOGITS_TOLERANCE = 1e-2
"""Largest difference, relative to the largest logit, at which two ways to the same logits count as equal (bf16)."""


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
    _check_samples(model, samples)
    if reduction not in REDUCTIONS:
        raise InputError(f"unknown reduction '{reduction}': use one of {', '.join(REDUCTIONS)}.")
    text = model.config.get_text_config()
    values = np.empty((len(samples), text.num_hidden_layers, text.num_attention_heads), dtype=np.float32)
    losses = np.empty(len(samples), dtype=np.float64)
    done = 0
    with _frozen(model):
        shortest = min(samples, key=lambda sample: len(sample.input_ids))
        own_logits = _own_logits(model, shortest)
        with recording(model, reduction) as recorded:
            _check_logits(model, shortest, own_logits)
            for indices in batches([len(sample.input_ids) for sample in samples], token_budget):
                batch = [samples[index] for index in indices]
                recorded.clear()
                losses[indices] = _backward(model, batch)
                values[indices] = _collect(model, recorded, batch, values.shape[1:])
                done += len(batch)
                if progress:
                    progress(done, len(samples))
    return Patterns(values, losses)


def batches(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Indices of samples, batch by batch: longest first, padded size at most `token_budget` tokens a batch.

    Starting with the longest shows at once whether the budget fits into memory.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        if batch and lengths[batch[0]] * (len(batch) + 1) > token_budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _check_samples(model: PreTrainedModel, samples: Sequence[TokenizedSample]) -> None:
    if not samples:
        raise InputError("there is no sample to compute an activation pattern of: the data is empty.")
    positions = models.positions(model)
    for sample in samples:
        if sample.response_tokens == 0:
            raise InputError(
                f"sample '{sample.id}' has no response token within its {len(sample.input_ids)} tokens: raise the "
                "maximum length, shorten its prompt or remove it."
            )
        if positions and len(sample.input_ids) > positions:
            raise InputError(
                f"sample '{sample.id}' has {len(sample.input_ids)} tokens, but {type(model).__name__} has "
                f"{positions} positions: set the maximum length to {positions} or less."
            )
        models.check_tokens(model, max(sample.input_ids), f"sample '{sample.id}'")


@contextmanager
def _frozen(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode (no dropout), no parameter requires a gradient; both as before afterwards."""
    training = model.training
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval()
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        model.train(training)
        for parameter in trainable:
            parameter.requires_grad_(True)


def _pad(batch: Sequence[TokenizedSample], device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Right-padded `input_ids`, attention mask and labels, each [batch, positions]."""
    width = max(len(sample.input_ids) for sample in batch)
    input_ids = torch.zeros(len(batch), width, dtype=torch.long)
    mask = torch.zeros(len(batch), width, dtype=torch.long)
    labels = torch.full((len(batch), width), IGNORED)
    for row, sample in enumerate(batch):
        length = len(sample.input_ids)
        input_ids[row, :length] = torch.tensor(sample.input_ids)
        mask[row, :length] = 1
        labels[row, :length] = torch.tensor(sample.labels)
    return input_ids.to(device), mask.to(device), labels.to(device)


def _response_logits(
    model: PreTrainedModel, embedded: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits that predict the response tokens, float32 [response tokens, vocabulary], their targets and their rows.

    The projection to the vocabulary is the largest matrix of a small model and is needed at these positions only.
    """
    hidden = model.base_model(inputs_embeds=embedded, attention_mask=mask, use_cache=False).last_hidden_state
    rows, positions = (labels[:, 1:] != IGNORED).nonzero(as_tuple=True)
    logits = model.get_output_embeddings()(hidden[rows, positions]).float()
    softcap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    if softcap:
        logits = torch.tanh(logits / softcap) * softcap
    return logits, labels[rows, positions + 1], rows


@torch.no_grad()
def _own_logits(model: PreTrainedModel, sample: TokenizedSample) -> torch.Tensor:
    """Logits at the response of one sample by the model's own attention: float32 [response tokens, vocabulary]."""
    input_ids, mask, labels = _pad([sample], model.device)
    logits = model(input_ids=input_ids, attention_mask=mask, use_cache=False).logits[0, :-1].float()
    return logits[labels[0, 1:] != IGNORED]


@torch.no_grad()
def _check_logits(model: PreTrainedModel, sample: TokenizedSample, own: torch.Tensor) -> None:
    """Refuse a model whose attention or logits do something that SDPA or `_response_logits` does not know of.

    A pattern of another model than the one that was asked for would look as good as any.
    """
    input_ids, mask, labels = _pad([sample], model.device)
    embedded = model.get_input_embeddings()(input_ids)
    try:
        ours, _, _ = _response_logits(model, embedded, mask, labels)
    except ValueError as error:
        raise InputError(f"{type(model).__name__} cannot run with SDPA attention: {first_line(error)}.") from error
    if ours.isfinite().all() and (ours - own).abs().max() > LOGITS_TOLERANCE * own.abs().max():
        raise InputError(
            f"{type(model).__name__} does more in its attention or to its logits than headpatterns.attribution knows "
            "of (its logits come out differently): use another architecture, or teach it there."
        )


def _backward(model: PreTrainedModel, batch: Sequence[TokenizedSample]) -> np.ndarray:
    """One forward and backward pass of a batch; returns the loss of each sample, float64 [batch]."""
    input_ids, mask, labels = _pad(batch, model.device)
    # The embeddings are the one leaf that requires a gradient: autograd then keeps what the activations need and
    # nothing for the weights.
    embedded = model.get_input_embeddings()(input_ids).detach().requires_grad_()
    logits, targets, rows = _response_logits(model, embedded, mask, labels)
    token_losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    counts = torch.bincount(rows, minlength=len(batch))
    losses = torch.zeros(len(batch), device=logits.device).index_add(0, rows, token_losses) / counts
    for sample, loss in zip(batch, losses.tolist(), strict=True):
        if not np.isfinite(loss):
            raise InputError(
                f"the loss of sample '{sample.id}' is {loss}: the checkpoint or its precision is broken (try float32)."
            )
    torch.autograd.grad(losses.sum(), embedded)
    return losses.detach().double().cpu().numpy()


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
