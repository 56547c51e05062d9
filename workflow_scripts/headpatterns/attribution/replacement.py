"""Mean and resample ablation: the output of a head is replaced by one from elsewhere, rather than by 0.

With an output of 0, later layers get inputs unlike any that they were trained on. Two other ablations stay closer (Chan
et al., 2022, Causal scrubbing; Wang et al., 2023, Interpretability in the wild). They replace the output of a head by
its mean over the positions of all samples, or by its output on another sample at the same position.

Both use only the samples whose loss is measured, so that no other sample affects the change of the loss.
"""

import functools
import hashlib
import heapq
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64
from transformers import PreTrainedModel

from headpatterns.attribution import changed, memory, passes
from headpatterns.attribution.changed import Change, Pair, Progress
from headpatterns.attribution.inputs import Sample
from headpatterns.attribution.parts import Parts
from headpatterns.attribution.reductions import HeadOutputs
from headpatterns.errors import InputError
from headpatterns.models import loading as models
from headpatterns.models import projection

MEAN, RESAMPLE = "mean", "resample"
KINDS = (MEAN, RESAMPLE)

Outputs = torch.Tensor
"""Outputs of the heads of a layer on one sample, [positions, heads, value size]."""

Placed = tuple[int, int, torch.Tensor]
"""Row of a batch, head, and the output that replaces its own, [positions, value size]."""


def replaced_changes(
    model: PreTrainedModel,
    samples: Sequence[Sample],
    kinds: Sequence[str],
    draws: int,
    seed: str,
    *,
    token_budget: int | str = memory.AUTO,
    progress: Progress | None = None,
    finished: Parts | None = None,
) -> dict[str, Float64[np.ndarray, "*draws samples layers heads"]]:
    """Change of the loss of every sample when one head is replaced, for each head and kind.

    The outputs of all heads on all samples are kept in memory, in the dtype of the model.

    Args:
        model: a causal language model of transformers; it is left as it was found.
        samples: tokenized instructions; their order is kept.
        kinds: some of `KINDS`, each once.
        draws: for `resample`, number of other samples whose outputs each sample is given, one after another.
        seed: determines these samples, together with their ids and nothing else.
        token_budget: as in `changed.each_pair`.
        progress: as there.
        finished: as there.

    Returns:
        By kind, loss with that head replaced − loss: `mean` [samples, layers, heads], `resample` [draws, samples,
        layers, heads].

    Raises:
        InputError: as `each_pair` does, an unknown kind, or fewer other samples than draws.
    """
    if unknown := set(kinds) - set(KINDS):
        raise InputError(f"unknown ablation '{min(unknown)}': use some of {', '.join(KINDS)}.")
    layers, (count, heads) = models.attention_layers(model), models.heads_of(model)
    losses, outputs = recorded(model, samples, token_budget)
    means = [torch.cat([one[place].float() for one in outputs]).mean(dim=0) for place in range(count)]
    ways: list[tuple[str, list[int]]] = []
    if MEAN in kinds:
        ways.append((MEAN, []))
    if RESAMPLE in kinds:
        ways += [(RESAMPLE, others) for others in donors([sample.id for sample in samples], draws, seed)]
    changes = np.empty((len(ways), len(samples), count * heads), dtype=np.float64)

    def value(pair: Pair) -> tuple[int, int, torch.Tensor]:
        """Layer (by place) and head of a pair's setting, and the output that replaces it, [positions, value size]."""
        way, flat = divmod(pair.setting, count * heads)
        place, head = divmod(flat, heads)
        kind, others = ways[way]
        length = len(pair.input_ids)
        if kind == MEAN:
            return place, head, means[place][head].expand(length, -1)
        donor = outputs[others[pair.place]][place][:, head]
        return place, head, donor[torch.as_tensor(positions_of(len(donor), length))]

    def run(
        head: projection.Head, changes: dict[int, Change], batch: list[Pair]
    ) -> tuple[Float64[np.ndarray, " batch"]]:
        placed: dict[int, list[Placed]] = {layer: [] for layer in layers}
        for row, pair in enumerate(batch):
            place, own, values = value(pair)
            placed[layers[place]].append((row, own, values))
        changes.update({layer: functools.partial(_put, of_layer) for layer, of_layer in placed.items()})
        return (passes.forward(model, head, batch)[0],)

    def keep(pairs: list[Pair], found: Float64[np.ndarray, " batch"]) -> None:
        for pair, loss in zip(pairs, found.tolist(), strict=True):
            way, flat = divmod(pair.setting, count * heads)
            changes[way, pair.place, flat] = loss - losses[pair.place]

    settings = len(ways) * count * heads
    changed.each_pair(
        model, samples, settings, run, keep, token_budget=token_budget, progress=progress, finished=finished
    )
    shaped = changes.reshape(len(ways), len(samples), count, heads)
    of_mean = {MEAN: shaped[0]} if MEAN in kinds else {}
    return {**of_mean, RESAMPLE: shaped[len(of_mean) :]} if RESAMPLE in kinds else of_mean


def recorded(
    model: PreTrainedModel, samples: Sequence[Sample], token_budget: int | str
) -> tuple[Float64[np.ndarray, " samples"], list[list[Outputs]]]:
    """Losses of the samples, and outputs of the heads of each layer on each, without padding, on the processor."""
    layers = models.attention_layers(model)
    losses = np.empty(len(samples), dtype=np.float64)
    outputs: list[list[Outputs]] = [[] for _ in samples]

    def run(
        head: projection.Head, changes: dict[int, Change], batch: list[Pair]
    ) -> tuple[Float64[np.ndarray, " batch"], list[list[Outputs]]]:
        seen: dict[int, HeadOutputs] = {}

        def look(layer: int, output: HeadOutputs) -> HeadOutputs:
            seen[layer] = output.detach()
            return output

        changes.update({layer: functools.partial(look, layer) for layer in layers})
        found = passes.forward(model, head, batch)[0]
        cut = [[seen[layer][row, : len(pair.input_ids)].cpu() for layer in layers] for row, pair in enumerate(batch)]
        return found, cut

    def keep(pairs: list[Pair], found: Float64[np.ndarray, " batch"], cuts: list[list[Outputs]]) -> None:
        for pair, loss, cut in zip(pairs, found.tolist(), cuts, strict=True):
            losses[pair.place], outputs[pair.place] = loss, [one.clone() for one in cut]

    changed.each_pair(model, samples, 1, run, keep, token_budget=token_budget)
    return losses, outputs


def donors(ids: Sequence[str], draws: int, seed: str) -> list[list[int]]:
    """For each draw and sample, the index of another sample, determined by the seed and the ids; none occurs twice.

    Raises:
        InputError: there are fewer other samples than draws.
    """
    check_draws(len(ids), draws)

    def rank(one: str, other: int) -> str:
        return hashlib.sha256(f"{seed}:{one}:{ids[other]}".encode()).hexdigest()

    found = []
    for place, one in enumerate(ids):
        others = [other for other in range(len(ids)) if other != place]
        found.append(heapq.nsmallest(draws, others, key=functools.partial(rank, one)))
    return [list(draw) for draw in zip(*found, strict=True)]


def check_draws(samples: int, draws: int) -> None:
    """Refuse more draws than there are other samples for each sample.

    Raises:
        InputError: there are more draws.
    """
    if draws >= samples:
        raise InputError(
            f"resample ablation gives each sample the outputs of {draws} other{'s' * (draws > 1)}, but there "
            f"{'is one sample' if samples == 1 else f'are {samples} samples'}: give more samples, or fewer draws."
        )


def positions_of(donor: int, length: int) -> list[int]:
    """The position of a donor that replaces each position of a sample, from their numbers of positions.

    It is the same position, up to the end of the donor. Beyond it, the donor is repeated from its second position on.
    The first is left out: heads attend to it when nothing else fits, so it differs from positions inside a sample.
    """
    if donor == 1:
        return [0] * length
    return [place if place < donor else 1 + (place - 1) % (donor - 1) for place in range(length)]


def _put(placed: Sequence[Placed], output: HeadOutputs) -> HeadOutputs:
    """The output of a layer with other values for some heads of some rows."""
    if not placed:
        return output
    output = output.clone()
    for row, head, values in placed:
        output[row, : len(values), head] = values.to(output)
    return output
