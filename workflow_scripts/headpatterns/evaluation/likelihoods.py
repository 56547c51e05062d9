"""Negative log-likelihoods of given responses, by teacher forcing.

Texts with the same start are read in one pass: options of one letter need no separate pass, nor does the option that is
the gold response.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from headpatterns.data.batching import batches
from headpatterns.errors import InputError
from headpatterns.evaluation.sequences import Ids, Text, Texts
from headpatterns.models import independence, projection
from headpatterns.models import loading as models

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Likelihood:
    """Likelihoods of an item under a model.

    Attributes:
        nll: negative log-likelihood of the gold response and EOS, in nats.
        tokens: their number of tokens.
        options: the same for each option without EOS; () if the item has none.
        shortened: whether the item was too long for the model's positions.
    """

    nll: float
    tokens: int
    options: tuple[tuple[float, int], ...]
    shortened: bool

    @property
    def likeliest(self) -> int:
        """Index of the option with the highest total likelihood; the first one in a tie."""
        return int(np.argmin([nll for nll, _ in self.options]))

    @property
    def likeliest_per_token(self) -> int:
        """Index of the option with the highest mean log-likelihood per token."""
        return int(np.argmin([nll / tokens for nll, tokens in self.options]))


@dataclass
class Pass:
    """Tokens of one pass, and the texts whose responses are predicted from them.

    Attributes:
        ids: tokens, [tokens].
        texts: the texts with their numbers.
    """

    ids: Ids
    texts: list[tuple[int, Text]] = field(default_factory=list)

    @property
    def first(self) -> int:
        """The first position that predicts a token."""
        return min(text.start for _, text in self.texts) - 1


def of_items(
    model: "PreTrainedModel", name: str, items: Sequence[Texts], token_budget: int, *, alone: bool = False
) -> list[Likelihood]:
    """Likelihoods of the items of the set `name` under a model, in order.

    Args:
        model: in evaluation mode.
        name: for errors.
        items: as `sequences.tokenized` gives them.
        token_budget: tokens of a batch, padding included.
        alone: whether each text is read completely in its own pass, even if others have the same start.

    Raises:
        InputError: a token has no embedding in the model, a likelihood is not finite, or the model cannot compute the
            logits of only some positions.
    """
    texts = [text for item in items for text in (item.gold, *item.options)]
    models.check_tokens(model, max(int(text.ids.max()) for text in texts), f"the set '{name}'")
    losses = _losses(model, items, len(texts), token_budget, alone)
    if not np.isfinite(losses).all():
        raise InputError(
            f"{type(model).__name__} gives likelihoods on the set '{name}' that are not numbers: use another "
            "evaluation.dtype, such as float32, or check its weights."
        )
    found = iter(losses)
    likelihoods = []
    for item in items:
        gold, *options = [(float(next(found)), text.predicted) for text in (item.gold, *item.options)]
        likelihoods.append(Likelihood(*gold, tuple(options), item.shortened))
    return likelihoods


def _losses(model: "PreTrainedModel", items: Iterable[Texts], count: int, token_budget: int, alone: bool) -> Any:
    """Negative log-likelihood of the response of every text, in the order of the items, float64 [texts]."""
    import torch

    turn = independence.turn(model.config)
    merged = turn is None and not alone
    found = np.empty(count)
    head = projection.head_of(model)
    number = 0
    passes: list[Pass] = []
    for item in items:
        texts = [item.gold, *item.options]
        passes += _passes(enumerate(texts, start=number), merged)
        number += len(texts)
    budget = 1 if alone else token_budget
    with torch.inference_mode():
        for indices in batches([len(one.ids) for one in passes], budget, turn):
            batch = [passes[index] for index in indices]
            found[[number for one in batch for number, _ in one.texts]] = _of_batch(model, head, batch)
    return found


def _passes(texts: Iterable[tuple[int, Text]], merged: bool) -> Iterator[Pass]:
    """The passes for some numbered texts of one item; if `merged`, texts with the same start share one pass.

    The last token of a text predicts nothing, so it is not read.
    """
    if not merged:
        yield from (Pass(text.ids, [(number, text)]) for number, text in texts)
        return
    found: list[Pass] = []
    for number, text in sorted(texts, key=lambda numbered: -len(numbered[1].ids)):
        read = text.ids[:-1]
        shared = next((one for one in found if np.array_equal(one.ids[: len(read)], read)), None)
        if shared is None:
            found.append(shared := Pass(read))
        shared.texts.append((number, text))
    yield from found


def _of_batch(model: "PreTrainedModel", head: projection.Head, batch: Sequence[Pass]) -> Any:
    """Negative log-likelihoods of the texts of all passes of a batch, in order, float64 [texts]."""
    import torch

    width = max(len(one.ids) for one in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    rows: list[int] = []
    positions: list[int] = []
    places: list[int] = []
    targets: list[int] = []
    lengths: list[int] = []
    for row, one in enumerate(batch):
        ids[row, : len(one.ids)] = torch.from_numpy(one.ids)
        mask[row, : len(one.ids)] = 1
        for _, text in one.texts:
            begin = len(rows) + text.start - 1 - one.first
            places += range(begin, begin + text.predicted)
            targets += text.ids[text.start :].tolist()
            lengths.append(text.predicted)
        predicting = range(one.first, max(len(text.ids) for _, text in one.texts) - 1)
        rows += [row] * len(predicting)
        positions += predicting
    at = [torch.tensor(values, device=model.device) for values in (rows, positions, places, targets)]
    with projection.projected(model, head, at[0], at[1]) as asked:
        # `forward` is called directly, because hooks of the module do not expect logits of this shape.
        inputs = {"input_ids": ids.to(model.device), "attention_mask": mask.to(model.device)}
        made = model.forward(**inputs, use_cache=False).logits
    losses = torch.empty(len(targets), device=model.device)
    for piece, logits in head.pieces(asked.states(type(model).__name__, head, made)):
        inside = (at[2] >= piece.start) & (at[2] < piece.stop)
        place, target = at[2][inside] - piece.start, at[3][inside]
        losses[inside] = logits.logsumexp(dim=-1)[place] - logits[place, target]
    # For a certain token, rounding can give a value slightly below 0.
    found: Any = np.add.reduceat(losses.clamp(min=0).double().cpu().numpy(), np.cumsum([0, *lengths[:-1]]))
    return found
