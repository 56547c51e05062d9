"""Do the methods find the pool's samples that truly share a domain's relations? No training and no answer is needed.

The table has for each method the share of related samples among the first n of its ranking (precision at n), and
average precision. It also has the result of a random choice: the expected value and a 95 % range (hypergeometric, or
from permutations). The intervals of the methods cover another draw of the pool's samples: Wilson intervals for
precision, and bootstrap intervals for average precision.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.data import training_sets
from headpatterns.errors import InputError
from headpatterns.evaluation.intervals import wilson
from headpatterns.io import read_csv
from headpatterns.statistics import SHARE, probe_weights, retrieval
from headpatterns.statistics.effects import reach_of_mean
from headpatterns.studies.table import Table

KEY = ("model", "domain", "seed", "method")
CHANCE = ("expected", "chance_low", "chance_high")
COLUMNS = (*KEY, "statistic", "n", "pool", "related", "value", "low", "high", *CHANCE, "p_value")
CURVE_COLUMNS = (*KEY, "n", "value", *CHANCE)
PRECISION, AVERAGE = "precision", "average_precision"
RANDOM = "random"
POINTS = 60
"""Values of n of a curve."""


def compute(
    rankings: Sequence[Mapping[str, Any]], budgets: Sequence[int], resamples: int, seed: int
) -> dict[str, Table]:
    """Precision at every budget, average precision, and the curve of precision over n.

    Args:
        rankings: `model`, `domain`, `seed`, `scores` (scores.csv of select_samples), `related` (CSV of the related
            samples) and `drawn` (training sets of the random draws with the largest budget) of every selection; none
            where the related samples are unknown.
        budgets: numbers of selected samples.
        resamples: draws of the pool's samples for the intervals, and permutations for chance.
        seed: seed of both.

    Returns:
        `precision`; the random choices are its method `random`, without a p-value: their mean over draws with
        Student's interval. `curve`: the methods at up to `POINTS` values of n.

    Raises:
        InputError: a file cannot be used, a ranking lacks a sample that another has, or no ranked sample is related.
    """
    rows: list[tuple[Any, ...]] = []
    curve: list[tuple[Any, ...]] = []
    for one in rankings:
        key = (one["model"], one["domain"], one["seed"])
        ranked = read_rankings(Path(one["scores"]))
        related = {id for _, id in training_sets.read(Path(one["related"]))}
        pool = sorted(next(iter(ranked.values())))
        count = len(related & set(pool))
        if not count:
            raise InputError(f"{one['scores']} ranks no sample of {one['related']}: make both from the same pool.")
        weights = dict(zip(pool, probe_weights(len(pool), f"pool of {one['domain']}", resamples, seed).T, strict=True))
        sizes = (len(pool), count)
        for method, ids in ranked.items():
            relevance = np.array([id in related for id in ids], dtype=float)
            replicates = retrieval.redrawn(relevance, np.stack([weights[id] for id in ids], axis=1))
            rows += [(*key, method, *row) for row in of_method(replicates, sizes, budgets, resamples, seed)]
            curve += [(*key, method, *row) for row in of_curve(relevance, sizes)]
        drawn = [[id for _, id in training_sets.read(Path(path))] for path in one["drawn"]]
        rows += [(*key, RANDOM, *row) for row in of_draws(drawn, related, sizes, budgets)]
    return {"precision": Table(COLUMNS, rows), "curve": Table(CURVE_COLUMNS, curve)}


def read_rankings(path: Path) -> dict[str, list[str]]:
    """The ids of the pool by method, the best first.

    Raises:
        InputError: the file cannot be used, a rank is no number, or two methods rank different samples.
    """
    found: dict[str, dict[int, str]] = {}
    for number, row in enumerate(read_csv(path, ("id", "method", "rank")), start=1):
        if not row["rank"].isdecimal():
            raise InputError(
                f"{path}, row {number}: rank is {row['rank']!r}, which is not a whole number: select again."
            )
        found.setdefault(row["method"], {})[int(row["rank"])] = row["id"]
    ranked = {method: [ids[place] for place in sorted(ids)] for method, ids in found.items()}
    if not ranked:
        raise InputError(f"{path} has no ranking: select again.")
    first, *others = ranked
    for method in others:
        if differing := sorted(set(ranked[first]) ^ set(ranked[method])):
            raise InputError(f"{path}: only one of {first} and {method} ranks {differing[0]}: select again.")
    return ranked


def of_method(
    replicates: np.ndarray, sizes: tuple[int, int], budgets: Sequence[int], resamples: int, seed: int
) -> list[tuple[Any, ...]]:
    """Cells after the key of one ranking, from the relevance [1 + B, samples] of its replicates."""
    rows: list[tuple[Any, ...]] = []
    for n in budgets:
        hits = int(replicates[0, :n].sum())
        rows.append((PRECISION, n, *sizes, hits / n, *wilson(hits, n), *retrieval.chance_of_precision(*sizes, n, hits)))
    value = retrieval.value_and_interval(retrieval.average_precision(replicates))
    chances = retrieval.chance_of_average_precision(*sizes, float(value[0]), resamples, seed)
    return [*rows, (AVERAGE, "", *sizes, *value, *chances)]


def of_curve(relevance: np.ndarray, sizes: tuple[int, int]) -> list[tuple[Any, ...]]:
    """Cells after the key of one ranking's curve."""
    precisions = retrieval.precisions(relevance)
    points = np.unique(np.rint(np.geomspace(1, sizes[0], POINTS)).astype(int))
    return [(n, precisions[n - 1], *retrieval.chance_of_precision(*sizes, n, 0)[:3]) for n in map(int, points)]


def of_draws(
    drawn: Sequence[Sequence[str]], related: set[str], sizes: tuple[int, int], budgets: Sequence[int]
) -> list[tuple[Any, ...]]:
    """Cells after the key of the random draws; each draw is a list of ids, and a budget takes the first ids."""
    rows = []
    for n in budgets if drawn else ():
        found = np.array([len(related.intersection(ids[:n])) / n for ids in drawn])
        mean, reach = float(found.mean()), reach_of_mean(found)
        low, high = np.clip((mean - reach, mean + reach), *SHARE)
        chance = retrieval.chance_of_precision(*sizes, n, 0)[:3]
        rows.append((PRECISION, n, *sizes, mean, low, high, *chance, float("nan")))
    return rows
