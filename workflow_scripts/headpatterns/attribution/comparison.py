"""Patterns and scores of some samples, and ablations of heads on other samples to compare them with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from transformers import PreTrainedModel

from headpatterns.attribution import gates, replacement
from headpatterns.attribution.ablation import Ablations, ablations
from headpatterns.attribution.inputs import Sample
from headpatterns.attribution.parts import Keeping, nowhere
from headpatterns.attribution.patterns import REDUCTIONS
from headpatterns.attribution.scoring import Before, Scored, scored

Report = Callable[[int, int], None]


def patterns_and_ablations(
    model: PreTrainedModel,
    patterned: Sequence[Sample],
    ablated: Sequence[Sample],
    *,
    reduction: str,
    sizes: Sequence[int],
    draws: int,
    seed: str,
    token_budget: int | str,
    progress: Report,
    scores: Sequence[str] = (),
    before: Before | None = None,
    keeping: Keeping = nowhere,
) -> tuple[Float32[np.ndarray, "reductions samples layers heads"], Ablations, Scored]:
    """Patterns in every reduction, scores, and ablations of heads that are ranked by one of the patterns.

    Args:
        model: as `activation_patterns` takes it.
        patterned: samples for the patterns.
        ablated: samples on which heads are ablated, none of them among `patterned`.
        reduction: of the patterns whose mean ranks the heads.
        sizes: as in `ablations`.
        draws: as there.
        seed: as there.
        token_budget: as there.
        progress: as there.
        scores: as in `scored`.
        before: as there.
        keeping: as in `ablations`.

    Returns:
        float32 [reductions, patterned samples, layers, query heads] in the order of `REDUCTIONS`, the ablations, and
        the scores.

    Raises:
        InputError: as `scored` and `ablations`.
    """
    found = scored(model, patterned, scores, before, token_budget=token_budget)
    patterns = np.stack([found.patterns.by(one) for one in REDUCTIONS])
    ranking = found.patterns.by(reduction).mean(axis=0, dtype=np.float64)
    made = ablations(
        model, ablated, ranking, sizes, draws, seed, token_budget=token_budget, progress=progress, keeping=keeping
    )
    return patterns, made, found


@dataclass(frozen=True)
class Further:
    """Ablations in addition to zero ablation.

    Attributes:
        kinds: some of `replacement.KINDS`.
        draws: of resample ablation.
        doses: whether each head is scaled by every dose of `gates.DOSES`.
    """

    kinds: Sequence[str]
    draws: int
    doses: bool


def further_ablations(
    model: PreTrainedModel,
    samples: Sequence[Sample],
    asked: Further,
    seed: str,
    *,
    token_budget: int | str,
    progress: Report,
    keeping: Keeping = nowhere,
) -> dict[str, np.ndarray]:
    """Effects of other ablations on the loss of samples, by the name of their file.

    Arguments are those of `ablations`.

    Returns:
        `mean` and `resample` as `replaced_changes` gives them, `doses` and `slopes` [doses, samples, layers, heads].

    Raises:
        InputError: as `replaced_changes`.
    """
    found: dict[str, np.ndarray] = {}
    if asked.kinds:
        found.update(
            replacement.replaced_changes(
                model,
                samples,
                asked.kinds,
                asked.draws,
                seed,
                token_budget=token_budget,
                progress=progress,
                finished=keeping("replaced"),
            )
        )
    if asked.doses:
        finished = keeping("doses")
        response = gates.dose_response(model, samples, token_budget=token_budget, progress=progress, finished=finished)
        found.update(doses=response.changes, slopes=response.slopes)
    return found
