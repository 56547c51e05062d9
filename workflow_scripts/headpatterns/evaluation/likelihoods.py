"""Negative log-likelihoods of responses, by teacher forcing: what a model makes of texts that it did not write.

Texts that begin alike are read once: options of one letter need no pass of their own, nor does the option that the
gold response consists of.
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
    """What a model makes of an item.

    Attributes:
        nll: negative log-likelihood of the gold response and EOS, in nats.
        tokens: how many these are.
        options: the same of each option without EOS, and its tokens; () where the item has none.
        shortened: whether the item did not fit into the model's positions as it is.
    """

    nll: float
    tokens: int
    options: tuple[tuple[float, int], ...]
    shortened: bool

    @property
    def likeliest(self) -> int:
        """Place of the option that is the likeliest as a whole; of several the first."""
        return int(np.argmin([nll for nll, _ in self.options]))

    @property
    def likeliest_per_token(self) -> int:
        """Place of the option whose tokens are the likeliest on average, by their log-likelihoods."""
        return int(np.argmin([nll / tokens for nll, tokens in self.options]))


@dataclass
class Pass:
    """Tokens that are read, and the texts whose responses are predicted from them.

    Attributes:
        ids: tokens, [tokens].
        texts: numbers of the texts, with the texts.
    """

    ids: Ids
    texts: list[tuple[int, Text]] = field(default_factory=list)

    @property
    def first(self) -> int:
        """The first place that predicts."""
        return min(text.start for _, text in self.texts) - 1


def of_items(
    model: "PreTrainedModel", name: str, items: Sequence[Texts], token_budget: int, *, alone: bool = False
) -> list[Likelihood]:
    """What a model makes of the items of the set `name`, in order.

    Args:
        model: in evaluation mode.
        name: for errors.
        items: as `sequences.tokenized` gives them.
        token_budget: tokens of a batch, padding included.
        alone: whether each text is read by itself and whole, whatever begins as it does.

    Raises:
        InputError: a token that the model has no embedding for, a likelihood that is no number, or a model that does
            not let itself be asked for the logits of some places alone.
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
    """The passes that some numbered texts of one item need: where they are merged, one for all that begin alike.

    A text's last token is predicted and predicts nothing: it need not be read.
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
        # Not the call of the module, whose hooks would see logits of another shape than they know.
        inputs = {"input_ids": ids.to(model.device), "attention_mask": mask.to(model.device)}
        made = model.forward(**inputs, use_cache=False).logits
    losses = torch.empty(len(targets), device=model.device)
    for piece, logits in head.pieces(asked.states(type(model).__name__, head, made)):
        inside = (at[2] >= piece.start) & (at[2] < piece.stop)
        place, target = at[2][inside] - piece.start, at[3][inside]
        losses[inside] = logits.logsumexp(dim=-1)[place] - logits[place, target]
    # Rounding makes a little less than 0 of a certainty.
    found: Any = np.add.reduceat(losses.clamp(min=0).double().cpu().numpy(), np.cumsum([0, *lengths[:-1]]))
    return found
