"""One score of heads for each module of this folder, by the module's name.

A score says how much each head of a model matters. Every module in this folder is found automatically: its `SCORE`, a
`Score`, has the module's name. docs/head-scores.md shows how to add one. Finding the names imports none of them.
"""

import importlib
import pkgutil
from collections.abc import Sequence

from headpatterns.attribution.scores.score import Score
from headpatterns.errors import InputError

HELPERS = {"score"}
"""Modules of this folder that are not scores."""


def names() -> list[str]:
    """The names of all scores, in alphabetical order."""
    return sorted({module.name for module in pkgutil.iter_modules(list(__path__))} - HELPERS)


def found(wanted: Sequence[str]) -> dict[str, Score]:
    """The scores of some modules, by name.

    Raises:
        InputError: there is no such module, or it defines no score.
    """
    scores = {}
    for name in wanted:
        if name not in names():
            raise InputError(f"unknown score '{name}': use some of {', '.join(names())}.")
        module = importlib.import_module(f"{__name__}.{name}")
        score = getattr(module, "SCORE", None)
        if not isinstance(score, Score):
            raise InputError(f"{module.__file__} defines no score: define SCORE as a Score in it.")
        scores[name] = score
    return scores
