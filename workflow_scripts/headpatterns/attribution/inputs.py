"""Inputs of patterns: tokenized samples, rows of text, or batches as collators make them."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch

from headpatterns.data import samples as rows
from headpatterns.data.tokens import IGNORED, TokenizedSample, tokenize
from headpatterns.errors import InputError, first_line


@dataclass(frozen=True)
class LabelledSample:
    """One sample of a batch of tensors, without its padding.

    Attributes:
        id: `batch {b}, row {r}`, both counted from 1.
        input_ids: all tokens.
        labels: as many; those that carry no loss are −100. As in transformers, a label is predicted from the tokens
            before it.
    """

    id: str
    input_ids: list[int]
    labels: list[int]

    @property
    def response_tokens(self) -> int:
        """Number of tokens that carry a loss; the first token has no context to be predicted from."""
        return sum(label != IGNORED for label in self.labels[1:])


OTHERS = ("labels", "attention_mask", "position_ids")
"""The tensors of a batch other than its `input_ids`."""


@runtime_checkable
class Sample(Protocol):
    """The attributes of a sample that the passes need; `TokenizedSample` and `LabelledSample` have them."""

    @property
    def id(self) -> str:
        """Its name in errors."""

    @property
    def input_ids(self) -> list[int]:
        """All tokens."""

    @property
    def labels(self) -> list[int]:
        """As many; those that carry no loss are −100."""

    @property
    def response_tokens(self) -> int:
        """Number of tokens that carry a loss."""


def samples(given: Iterable[Any] | Mapping[str, Any], tokenizer: Any = None) -> list[Sample]:
    """Samples from any of the accepted inputs, in order; the kinds may be mixed.

    Args:
        given: an iterable (a list, a data set, a data loader) of
            - tokenized samples,
            - rows with `prompt`, `response` and optionally `id`, by default the row's number,
            - mappings of `input_ids`, `labels` and optionally `attention_mask`: tensors or lists [batch, positions],
              padded on either side, or [positions] for one sample; without a mask every token counts;
            or one such mapping.
        tokenizer: a tokenizer of transformers, needed for rows; they are not cut.

    Raises:
        InputError: another kind of input, rows without a tokenizer, or a batch without labels, with rows of different
            lengths, with tensors that do not fit together, or with several samples in one row.
    """
    found: list[Sample] = []
    for number, one in enumerate([given] if isinstance(given, Mapping) else given, start=1):
        if isinstance(one, (TokenizedSample, LabelledSample)):
            found.append(one)
        elif isinstance(one, Mapping) and "input_ids" in one:
            found += _of_batch(one, number)
        elif isinstance(one, Mapping):
            found.append(_of_row(one, number, tokenizer))
        else:
            raise InputError(
                f"sample {number} is of the type {type(one).__name__}: give tokenized samples, rows with prompt and "
                "response, or batches with input_ids and labels."
            )
    return found


def _of_row(row: Mapping[str, Any], number: int, tokenizer: Any) -> TokenizedSample:
    checked = rows.checked(f"samples, row {number}", number, dict(row))
    if tokenizer is None:
        raise InputError(f"row {number} of the samples is text, but there is no tokenizer: give one (tokenizer=...).")
    return tokenize(tokenizer, **checked, max_length=sys.maxsize)


def _of_batch(batch: Mapping[str, Any], number: int) -> Iterator[LabelledSample]:
    """The samples of a mapping of tensors [batch, positions], or of one sample's [positions]."""
    if batch.get("labels") is None:
        raise InputError(
            f"batch {number} has no labels (it has {', '.join(batch)}): give the token ids of the response as "
            "labels, and −100 elsewhere."
        )
    ids = _tensor(batch["input_ids"], "input_ids", number)
    others = {name: _tensor(batch[name], name, number) for name in OTHERS if batch.get(name) is not None}
    labels = others["labels"]
    mask = others.get("attention_mask", torch.ones_like(ids))
    positions = others.get("position_ids")
    if positions is not None and positions.shape == ids[:1].shape:
        positions = others["position_ids"] = positions.expand_as(ids)  # one row may serve all, as in models
    if ids.dim() != 2 or any(tensor.shape != ids.shape for tensor in others.values()):
        shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in {"input_ids": ids, **others}.items())
        raise InputError(f"batch {number} has tensors of different shapes ({shapes}): give all as [batch, positions].")
    for row, real in enumerate(mask.bool()):
        places = real.nonzero().flatten()
        own = None if positions is None else positions[row, places]
        if any(steps is not None and (steps.diff() != 1).any() for steps in (places, own)):
            raise InputError(
                f"row {row + 1} of batch {number} has several samples or gaps, according to its attention_mask or "
                "position_ids: give each sample its own row."
            )
        yield LabelledSample(f"batch {number}, row {row + 1}", ids[row, places].tolist(), labels[row, places].tolist())


def _tensor(values: Any, name: str, number: int) -> torch.Tensor:
    """One of a batch's tensors, [batch, positions]; lists are converted."""
    try:
        tensor: torch.Tensor = torch.atleast_2d(torch.as_tensor(values))
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{name} of batch {number} cannot be made a tensor ({first_line(error)}): give numbers, with all rows "
            "padded to one length."
        ) from error
    return tensor


def lengths(samples: Sequence[Sample]) -> list[int]:
    """Tokens of each sample."""
    return [len(sample.input_ids) for sample in samples]
