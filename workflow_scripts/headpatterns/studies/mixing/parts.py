"""Are the tasks that the fit keeps the true parts of the complex task? Only where these are known (§5.1)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy

from headpatterns.studies.mixing.proportions import COEFFICIENT_COLUMNS, PICK_COLUMNS

COLUMNS = (
    *("model", "seed", "of", "tasks", "parts", "kept", "hits", "value", "resampled", "low", "high"),
    *("expected", "p_value"),
)
"""Columns of the table: the numbers of candidates, of true parts, of kept tasks and of kept tasks that are true parts.
`value` is the precision of the choice: the share of kept tasks that are true parts. `resampled` is its mean over the
replicates of the bootstrap; `low` and `high` are the range of 95 % of the replicates. `expected` is the precision of
tasks drawn at random, and `p_value` how often a random draw has at least as many true parts."""

MIDDLE = (0.025, 0.975)


def rows(mixture: Sequence[Sequence[str]], picks: Sequence[Sequence[str]], parts: Sequence[str]) -> list[Any]:
    """Rows of `COLUMNS`: one for each model, seed and fit; none where the parts are unknown.

    Args:
        mixture: rows of `COEFFICIENT_COLUMNS`, which have every candidate.
        picks: rows of `PICK_COLUMNS`, which have every choice that the bootstrap makes.
        parts: the true parts, which are candidates.
    """
    if not parts:
        return []
    candidates: dict[tuple[str, str], int] = {}
    for row in mixture:
        named = dict(zip(COEFFICIENT_COLUMNS, row, strict=True))
        key = (named["model"], named["seed"])
        candidates[key] = candidates.get(key, 0) + 1
    choices: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in picks:
        named = dict(zip(PICK_COLUMNS, row, strict=True))
        choices.setdefault((named["model"], named["seed"], named["of"]), []).append(named)
    return [(*key, *_row(found, candidates[key[:2]], parts)) for key, found in choices.items()]


def precision(tasks: str, parts: Sequence[str]) -> tuple[int, int, float]:
    """The number of tasks that a choice keeps, how many of them are true parts, and their share; 0 if it keeps none."""
    kept = [task for task in tasks.split("+") if task]
    hits = len(set(kept) & set(parts))
    return len(kept), hits, hits / len(kept) if kept else 0.0


def _row(choices: Sequence[Mapping[str, str]], tasks: int, parts: Sequence[str]) -> tuple[Any, ...]:
    """The cells after the key for one fit, from every choice and its share of the replicates."""
    kept, hits, value = next(precision(one["tasks"], parts) for one in choices if one["kept"] == "1")
    shares = np.array([float(one["share"]) for one in choices])
    found = np.array([precision(one["tasks"], parts)[2] for one in choices])
    order = np.argsort(found, kind="stable")
    reached = np.cumsum(shares[order]) / shares.sum()
    low, high = (found[order][np.searchsorted(reached, place - 1e-9)] for place in MIDDLE)
    p_value = float(scipy.stats.hypergeom.sf(hits - 1, tasks, len(parts), kept))
    resampled = float(shares @ found / shares.sum())
    return tasks, len(parts), kept, hits, value, resampled, float(low), float(high), len(parts) / tasks, p_value
