"""Patterns of some samples, and the ablations of heads on others that they are held against."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32
from transformers import PreTrainedModel

from headpatterns.attribution.ablation import Ablations, ablations
from headpatterns.attribution.extraction import activation_patterns
from headpatterns.attribution.inputs import Sample
from headpatterns.attribution.patterns import REDUCTIONS


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
    progress: Callable[[int, int], None],
) -> tuple[Float32[np.ndarray, "reductions samples layers heads"], Ablations]:
    """Patterns in every reduction, and ablations of heads that rank as one of them says.

    Args:
        model: as `activation_patterns` takes it.
        patterned: samples for the patterns.
        ablated: samples on which heads are ablated, none of them among the others.
        reduction: of the patterns whose mean is the ranking.
        sizes: as in `ablations`.
        draws: as there.
        seed: as there.
        token_budget: as there.
        progress: as there.

    Returns:
        float32 [reductions, patterned samples, layers, query heads] in the order of `REDUCTIONS`, and the ablations.

    Raises:
        InputError: as `activation_patterns` and `ablations`.
    """
    first, *others = REDUCTIONS
    found = activation_patterns(model, patterned, reduction=first, also=others, token_budget=token_budget)
    patterns = np.stack([found.by(one) for one in REDUCTIONS])
    ranking = found.by(reduction).mean(axis=0, dtype=np.float64)
    return patterns, ablations(
        model, ablated, ranking, sizes, draws, seed, token_budget=token_budget, progress=progress
    )
