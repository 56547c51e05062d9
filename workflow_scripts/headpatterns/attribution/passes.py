"""The passes of a model over samples: padding, logits, the loss of each sample, and checks of the model.

Parameters are frozen and the embeddings are the only leaf, so a backward pass goes through activations alone. The
projection to the vocabulary is computed only at positions that predict a response token.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int
from transformers import PreTrainedModel

from headpatterns.attribution.inputs import LabelledSample, Sample
from headpatterns.data.tokens import IGNORED
from headpatterns.errors import InputError, first_line
from headpatterns.models import families, projection
from headpatterns.models import loading as models
from headpatterns.models.token_losses import weighed

LOGITS_TOLERANCE = {torch.float64: 1e-4, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 3e-2}
"""By dtype of the model, the largest allowed difference between two computations of the same logits: the norm of the
difference over the norm of the logits. A pretrained model of five layers has 1e-6, 5e-4 and 5e-3 in the last three;
rounding grows with depth. The largest difference of a single logit says less: in bfloat16 that model exceeds 1e-2."""

CHECKED = 64
"""Tokens for which the two computations are compared: few, so that the check costs little in short extractions."""

REACHES = ("sliding_window", "attention_chunk_size", "index_topk")
"""Keys of a config that limit the number of positions to which a layer attends."""

Padded = Int[torch.Tensor, "batch positions"]


def check_samples(model: PreTrainedModel, samples: Sequence[Sample]) -> None:
    """Refuse samples without a loss: an empty list, no response, too many tokens, or unknown tokens."""
    if not samples:
        raise InputError("the data is empty, so there is no activation pattern to compute: give at least one sample.")
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
        tokens = [*sample.input_ids, *(label for label in sample.labels if label != IGNORED)]
        for token in (min(tokens), max(tokens)):
            models.check_tokens(model, token, f"sample '{sample.id}'")


@contextmanager
def frozen(model: PreTrainedModel) -> Iterator[None]:
    """Within the block, the model is in evaluation mode (no dropout) and its parameters need no gradients."""
    training = {module: module.training for module in model.modules()}
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval()
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for module, before in training.items():
            module.training = before
        for parameter in trainable:
            parameter.requires_grad_(True)


def pad(batch: Sequence[Sample], device: torch.device) -> tuple[Padded, Padded, Padded]:
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


def response_states(
    model: PreTrainedModel,
    head: projection.Head,
    embedded: Float[torch.Tensor, "batch positions hidden"],
    mask: Padded,
    labels: Padded,
) -> tuple[Float[torch.Tensor, "responses states"], Int[torch.Tensor, " responses"], Int[torch.Tensor, " responses"]]:
    """The inputs of `head` at the positions that predict a response token, these tokens, and their rows.

    The projection to the vocabulary is the largest matrix of a small model and is needed at these positions only. It
    gets the positions of all rows as one sequence.

    Raises:
        InputError: the model has no projection to the vocabulary that can be restricted to some positions.
    """
    rows, positions, targets = projection.predicting(labels)
    with projection.projected(model, head, rows, positions) as places:
        # `forward` is called directly, because hooks of the module do not expect logits of this shape.
        logits = model.forward(inputs_embeds=embedded, attention_mask=mask, use_cache=False).logits
    return places.states(type(model).__name__, head, logits), targets, rows


def beginning(samples: Sequence[Sample], model: PreTrainedModel) -> LabelledSample:
    """The first tokens of the longest sample, for `check_logits`; the last of them is predicted.

    If a layer of `model` attends only to some positions, there are enough tokens for it to leave one out, if the sample
    has that many. With fewer tokens, the logits do not distinguish such a layer from any other.
    """
    longest = max(samples, key=lambda sample: len(sample.input_ids))
    layers = model.config.get_text_config().per_layer_config
    reaches = {reach for layer in layers for key in REACHES if (reach := getattr(layer, key, None)) is not None}
    tokens = longest.input_ids[: max([CHECKED, *(reach + 1 for reach in reaches)])]
    unread = max(0, len(tokens) - CHECKED)
    return LabelledSample(longest.id, tokens, [IGNORED] * unread + list(tokens[unread:]))


@torch.no_grad()
def own_logits(model: PreTrainedModel, sample: Sample) -> Float32[torch.Tensor, "tokens vocabulary"]:
    """Logits for the response tokens of one sample, with the model's own attention: float32 [tokens, vocabulary]."""
    input_ids, mask, labels = pad([sample], model.device)
    logits = model(input_ids=input_ids, attention_mask=mask, use_cache=False).logits[0, :-1]
    chosen: Float32[torch.Tensor, "tokens vocabulary"] = logits[labels[0, 1:] != IGNORED].float()
    return chosen


def _differ(model: PreTrainedModel, found: torch.Tensor, own: torch.Tensor) -> bool:
    """Whether logits of a model differ by more than rounding in its number format."""
    tolerance = LOGITS_TOLERANCE.get(model.dtype, max(LOGITS_TOLERANCE.values()))
    return bool((found - own).norm() > tolerance * own.norm())


def check_causal(model: PreTrainedModel, sample: Sample, own: Float32[torch.Tensor, "tokens vocabulary"]) -> None:
    """Refuse a model in which a token attends to later tokens, such as an encoder: its loss is not a prediction.

    `own` is what `own_logits` gave for the same sample.
    """
    last = sample.input_ids[-1]
    changed = LabelledSample(sample.id, [*sample.input_ids[:-1], last - 1 if last else 1], list(sample.labels))
    other = own_logits(model, changed)
    finite = own.isfinite() & other.isfinite()
    own, other = own[finite], other[finite]
    if _differ(model, other, own):
        raise InputError(
            f"{type(model).__name__} predicts a token from itself and the tokens after it, as encoders do, so its "
            f"loss has no meaning here: use a decoder ({families.LISTED})."
        )


@torch.no_grad()
def check_logits(
    model: PreTrainedModel, head: projection.Head, sample: Sample, own: Float32[torch.Tensor, "tokens vocabulary"]
) -> None:
    """Refuse a model whose attention or embeddings do something that SDPA or `forward` do not reproduce.

    `own` is what `own_logits` gave for the same sample.

    Without this check, the pattern of a different computation would look like any other pattern.
    """
    input_ids, mask, labels = pad([sample], model.device)
    embedded = model.get_input_embeddings()(input_ids)
    try:
        states, _, _ = response_states(model, head, embedded, mask, labels)
    except InputError:
        raise
    except (ValueError, TypeError, AttributeError) as error:  # from a model that needs more than embeddings and a mask
        raise InputError(
            f"{type(model).__name__} cannot run in the way that patterns need ({first_line(error)}): use another "
            "architecture."
        ) from error
    ours = torch.cat([logits for _, logits in head.pieces(states)])
    # If the model's own logits are not finite either, the loss of a sample is reported later.
    finite = own.isfinite()
    ours, own = ours[finite], own[finite]
    if not ours.isfinite().all():
        raise InputError(
            f"the logits of {type(model).__name__} are finite with its own attention, but not with the attention "
            "of headpatterns.attribution: use another precision (float32) or another architecture."
        )
    if _differ(model, ours, own):
        raise InputError(
            f"{type(model).__name__} does something in its attention or to its logits that "
            "headpatterns.attribution does not know (its logits differ): use another architecture, or add it "
            "there."
        )


@torch.enable_grad()
def backward(model: PreTrainedModel, head: projection.Head, batch: Sequence[Sample]) -> Float64[np.ndarray, " batch"]:
    """One forward and backward pass of a batch; returns the loss of each sample, float64 [batch].

    Gradients are enabled even if the caller has disabled them.
    """
    losses, total, embedded = forward(model, head, batch)
    torch.autograd.grad(total, embedded)
    return losses


def forward(
    model: PreTrainedModel, head: projection.Head, batch: Sequence[Sample]
) -> tuple[Float64[np.ndarray, " batch"], Float32[torch.Tensor, ""], Float[torch.Tensor, "batch positions hidden"]]:
    """One forward pass of a batch: the loss of each sample, float64 [batch], their sum, and the leaf of its graph.

    Raises:
        InputError: a loss is not finite.
    """
    input_ids, mask, labels = pad(batch, model.device)
    # The embeddings are the only leaf that requires a gradient. So autograd keeps what the gradients of activations
    # need and nothing for the weights.
    embedded = model.get_input_embeddings()(input_ids).detach().requires_grad_()
    # A copy is needed, because some models scale the embeddings in place, which autograd forbids for a leaf.
    states, targets, rows = response_states(model, head, embedded.clone(), mask, labels)
    counts = torch.bincount(rows, minlength=len(batch))
    total, token_losses = weighed(head, states, targets, (1 / counts)[rows])
    losses = torch.zeros(len(batch), device=rows.device).index_add(0, rows, token_losses) / counts
    for sample, loss in zip(batch, losses.tolist(), strict=True):
        if not np.isfinite(loss):
            raise InputError(
                f"the loss of sample '{sample.id}' is {loss}: the checkpoint or its precision is broken (try float32)."
            )
    return losses.double().cpu().numpy(), total, embedded
