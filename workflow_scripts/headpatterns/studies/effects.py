"""The effects that a study measures for its claims, and their table `{study}_effects.csv`."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from headpatterns.statistics.effects import Effect

COLUMNS = (
    *("effect", "model", "about", "estimate", "plain", "low", "high", "standard_error", "df"),
    *("p_above", "p_below", "p_least", "exact_bound", "lowest", "highest", "varies", "components"),
)


class Measured(NamedTuple):
    """An effect of one model.

    Attributes:
        name: its name in the registry of claims.
        model: name of the model; empty for a comparison of models.
        about: its further subject, such as a task group or a budget; empty if there is only one.
        effect: the number and its error term.
    """

    name: str
    model: str
    about: str
    effect: Effect


def rows(measured: Iterable[Measured]) -> list[tuple[Any, ...]]:
    """Rows of `COLUMNS`.

    `varies` lists the sources with their shares of the variance, such as `seeds 0.61`, and `components` with the
    variance itself and its degrees of freedom.
    """
    found = []
    for name, model, about, effect in measured:
        total = sum(part.variance for part in effect.components)
        varies = "; ".join(
            f"{part.source} {part.variance / total:.2f}" if total > 0 else part.source for part in effect.components
        )
        numbers = (effect.estimate, effect.plain, *effect.interval(), effect.standard_error, effect.df)
        whole = "; ".join(f"{part.source} {part.variance:.10g} {part.df:.10g}" for part in effect.components)
        exact = (effect.p_above, effect.p_below, effect.p_least, effect.exact_bound)
        found.append((name, model, about, *numbers, *exact, *effect.limits, varies, whole))
    return found
