"""The scores of the heads of a model on some samples, each checked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from transformers import PreTrainedModel

from headpatterns.attribution import scores as registry
from headpatterns.attribution.extraction import activation_patterns
from headpatterns.attribution.inputs import Sample
from headpatterns.attribution.patterns import REDUCTIONS, Patterns
from headpatterns.attribution.scores.score import Given, NotAvailableError, Score
from headpatterns.attribution.watching import Watch
from headpatterns.errors import InputError
from headpatterns.models import loading as models
from headpatterns.statistics.distribution import is_constant

Before = Callable[[], PreTrainedModel]
"""Returns the model that fine-tuning started from."""


@dataclass(frozen=True)
class Scored:
    """Patterns and scores of the same samples.

    Attributes:
        patterns: in all of `REDUCTIONS`.
        values: by score, float32 [samples, layers, heads], or [layers, heads] if it does not depend on samples.
        left_out: why a score is missing, by its name: it cannot be computed, or is the same for all heads.
    """

    patterns: Patterns
    values: Mapping[str, Float[np.ndarray, "*samples layers heads"]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)


def scored(
    model: PreTrainedModel,
    samples: Sequence[Sample],
    names: Sequence[str],
    before: Before | None,
    *,
    token_budget: int | str,
) -> Scored:
    """Patterns in every reduction, and some scores; scores of layers come from the same passes as the patterns.

    Args:
        model: as `activation_patterns` takes it.
        samples: tokenized samples.
        names: of scores.
        before: returns the model that fine-tuning started from; None if `model` is that model.
        token_budget: as in `activation_patterns`.

    Raises:
        InputError: as there, an unknown score, or one that has another shape or is not finite.
    """
    asked = registry.found(names)
    watch = Watch({name: score for name, score in asked.items() if score.of_layer})
    first, *others = REDUCTIONS
    patterns = activation_patterns(
        model, samples, reduction=first, also=others, token_budget=token_budget, watch=watch if watch.scores else None
    )
    by_reduction = {**{one: patterns.by(one) for one in REDUCTIONS}, "signed": patterns.signed}
    given = Given(model, samples, by_reduction, before, token_budget)
    found: dict[str, np.ndarray] = {name: watch.values[:, place] for place, name in enumerate(watch.scores)}
    left_out: dict[str, str] = {}
    for name, score in asked.items():
        if name in watch.scores:
            continue
        try:
            found[name] = _of_model(name, score, given)
        except NotAvailableError as error:
            left_out[name] = str(error)
    for name in [name for name, values in found.items() if _is_constant(values)]:
        del found[name]
        left_out[name] = f"it is the same for all heads of {type(model).__name__} on these samples, so it ranks none"
    for name, reason in left_out.items():
        print(f"the score '{name}' is left out: {reason}.", flush=True)
    return Scored(patterns, {name: found[name] for name in names if name in found}, left_out)


def _of_model(name: str, score: Score, given: Given) -> np.ndarray:
    """A score of a whole model, checked to be finite and of one of the two shapes."""
    if score.of_model is None:
        raise InputError(f"the score '{name}' has neither of_layer nor of_model: give its Score one of them.")
    shape = models.heads_of(given.model)
    value = np.asarray(score.of_model(given))
    shapes = [[*shape], [len(given.samples), *shape]]
    if list(value.shape) not in shapes:
        raise InputError(
            f"the score '{name}' has the shape {list(value.shape)} for a model of {shape[0]} layers of {shape[1]} "
            f"heads on {len(given.samples)} samples: its of_model must give {shapes[0]} or {shapes[1]}."
        )
    if not np.isfinite(value).all():
        raise InputError(
            f"the score '{name}' of {type(given.model).__name__} is not finite: fix {name}.py, or leave the score out "
            "(studies.head_scores.scores)."
        )
    return value


def _is_constant(values: np.ndarray) -> bool:
    """Whether a score is the same for all heads, so that nothing could be correlated with it."""
    mean = values.mean(axis=0) if values.ndim == 3 else values
    return bool(is_constant(mean.reshape(1, -1))[0])
