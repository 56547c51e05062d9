"""The passes of a model over samples: which go together, padded how, and the loss of each.

Parameters are frozen and the embeddings are the one leaf, so that a backward pass goes through activations alone; the
projection to the vocabulary is computed where a response is predicted, and nowhere else.
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
"""By dtype of the model, how far apart two ways to the same logits may be: the norm of the difference, relative to that
of the logits. A pretrained model of five layers has 1e-6, 5e-4 and 5e-3 in the last three; rounding grows with depth.
The largest difference alone would tell less: in bfloat16 it is over 1e-2 already there."""

CHECKED = 64
"""Tokens of which the two ways are compared: few, so that short extractions do not pay for it."""

REACHES = ("sliding_window", "attention_chunk_size", "index_topk")
"""Keys of a config that say after how many positions a layer no longer attends to all of them."""

Padded = Int[torch.Tensor, "batch positions"]


def check_samples(model: PreTrainedModel, samples: Sequence[Sample]) -> None:
    """Refuse samples that the model has no loss of: none at all, without response, too long, of other tokens."""
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
    """Evaluation mode (no dropout), no parameter requires a gradient; both as before afterwards."""
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
    """What `head` takes where a response token is predicted, these tokens, and their rows.

    The projection to the vocabulary is the largest matrix of a small model and is needed at these positions only: it is
    given those of all rows as one sequence.

    Raises:
        InputError: the model has no projection to the vocabulary that could be told so.
    """
    rows, positions, targets = projection.predicting(labels)
    with projection.projected(model, head, rows, positions) as places:
        # Not the call of the module, whose hooks would see logits of another shape than they know.
        logits = model.forward(inputs_embeds=embedded, attention_mask=mask, use_cache=False).logits
    return places.states(type(model).__name__, head, logits), targets, rows


def beginning(samples: Sequence[Sample], model: PreTrainedModel) -> LabelledSample:
    """The first tokens of the longest sample, the last of them to be predicted: what `check_logits` looks at.

    As many as it takes for a layer of `model` that attends to some positions alone to leave one out, where the sample
    has them: on fewer, the logits do not tell such a layer from any other.
    """
    longest = max(samples, key=lambda sample: len(sample.input_ids))
    layers = model.config.get_text_config().per_layer_config
    reaches = {reach for layer in layers for key in REACHES if (reach := getattr(layer, key, None)) is not None}
    tokens = longest.input_ids[: max([CHECKED, *(reach + 1 for reach in reaches)])]
    unread = max(0, len(tokens) - CHECKED)
    return LabelledSample(longest.id, tokens, [IGNORED] * unread + list(tokens[unread:]))


@torch.no_grad()
def own_logits(model: PreTrainedModel, sample: Sample) -> Float32[torch.Tensor, "tokens vocabulary"]:
    """Logits that predict the response tokens of one sample, by its own attention: float32 [tokens, vocabulary]."""
    input_ids, mask, labels = pad([sample], model.device)
    logits = model(input_ids=input_ids, attention_mask=mask, use_cache=False).logits[0, :-1]
    chosen: Float32[torch.Tensor, "tokens vocabulary"] = logits[labels[0, 1:] != IGNORED].float()
    return chosen


def _differ(model: PreTrainedModel, found: torch.Tensor, own: torch.Tensor) -> bool:
    """Whether logits of a model differ by more than rounding in its number format."""
    tolerance = LOGITS_TOLERANCE.get(model.dtype, max(LOGITS_TOLERANCE.values()))
    return bool((found - own).norm() > tolerance * own.norm())


def check_causal(model: PreTrainedModel, sample: Sample, own: Float32[torch.Tensor, "tokens vocabulary"]) -> None:
    """Refuse a model in which a token sees those after it, such as an encoder: its loss is no prediction.

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
    """Refuse a model whose attention or embeddings do something that SDPA or `forward` does not know of.

    `own` is what `own_logits` gave for the same sample.

    A pattern of another model than the one that was asked for would look as good as any.
    """
    input_ids, mask, labels = pad([sample], model.device)
    embedded = model.get_input_embeddings()(input_ids)
    try:
        states, _, _ = response_states(model, head, embedded, mask, labels)
    except InputError:
        raise
    except (ValueError, TypeError, AttributeError) as error:  # of a model that needs more than embeddings and a mask
        raise InputError(
            f"{type(model).__name__} cannot run in the way that patterns need ({first_line(error)}): use another "
            "architecture."
        ) from error
    ours = torch.cat([logits for _, logits in head.pieces(states)])
    # Where its own are not finite either, the loss of a sample says so.
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

    It has gradients whatever the caller has switched off.
    """
    losses, total, embedded = forward(model, head, batch)
    torch.autograd.grad(total, embedded)
    return losses


def forward(
    model: PreTrainedModel, head: projection.Head, batch: Sequence[Sample]
) -> tuple[Float64[np.ndarray, " batch"], Float32[torch.Tensor, ""], Float[torch.Tensor, "batch positions hidden"]]:
    """One forward pass of a batch: the loss of each sample, float64 [batch], their sum, and the leaf that it is of.

    Raises:
        InputError: a loss is not finite.
    """
    input_ids, mask, labels = pad(batch, model.device)
    # The embeddings are the one leaf that requires a gradient: autograd then keeps what the activations need and
    # nothing for the weights.
    embedded = model.get_input_embeddings()(input_ids).detach().requires_grad_()
    # A copy, since some models scale what they are given in place, which a leaf does not bear.
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
