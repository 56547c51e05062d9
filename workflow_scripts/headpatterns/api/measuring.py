"""Numbers of stored patterns with their intervals over probe samples: their concentration and their similarity."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64

from headpatterns.api.stored import StoredPatterns, load_patterns
from headpatterns.errors import InputError
from headpatterns.statistics import (
    CORRELATION,
    LIMITS,
    NOT_NEGATIVE,
    STATISTICS,
    Limits,
    estimate_and_interval,
    pearson,
    probe_weights,
    replicate_patterns,
    spearman,
)

Given = str | Path | StoredPatterns
"""Patterns, or a path that `load_patterns` takes."""

CORRELATIONS = {"pearson": pearson, "spearman": spearman}
NUMBERS = ("value", "low", "high", "plain")


def concentration(patterns: Mapping[str, Given], *, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Loss, level, and how unevenly heads are active (Table 1, Eq. 7 to 9).

    Args:
        patterns: by the name for their rows: paths for `load_patterns`, or its results.
        resamples: bootstrap replicates of the probe samples.
        seed: of the bootstrap.

    Returns:
        A row for each pattern and statistic: `loss` (nats per token), `level` (mean over heads), `gini`, `cv`,
        `kurtosis` (Pearson's, 3 for a normal distribution). Columns: pattern, statistic, value (without the bias of few
        samples), low and high (95 % interval), plain (that of the mean pattern itself).

    Raises:
        InputError: a path cannot be used, none is given, or less than two resamples.
    """
    rows = []
    loaded = _loaded(patterns)
    for (name, found), weights in zip(loaded.items(), _weights(loaded, resamples, seed), strict=True):
        drawn = replicate_patterns(found.values, weights)
        values = {"loss": (weights @ found.losses, NOT_NEGATIVE), "level": (drawn.mean(axis=(1, 2)), NOT_NEGATIVE)}
        values |= {one: (statistic(drawn), LIMITS[one]) for one, statistic in STATISTICS.items()}
        rows += [(name, statistic, *_numbers(*of)) for statistic, of in values.items()]
    return pd.DataFrame(rows, columns=["pattern", "statistic", *NUMBERS])


def similarity(
    patterns: Mapping[str, Given], *, method: str = "pearson", resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Correlation over layers × heads between every two patterns (Eq. 6).

    Patterns on the same samples share the draws of the bootstrap; others have independent draws.

    Args:
        patterns: two or more by name: paths for `load_patterns`, or its results.
        method: `pearson`, or `spearman` for ranks.
        resamples: bootstrap replicates of the probe samples.
        seed: of the bootstrap.

    Returns:
        A row for each pair, with the columns first, second, value, low, high and plain as in `concentration`.

    Raises:
        InputError: a path cannot be used, less than two patterns, patterns of different layers or heads, an unknown
            method, or less than two resamples.
    """
    if method not in CORRELATIONS:
        raise InputError(f"unknown method '{method}': use one of {', '.join(CORRELATIONS)}.")
    loaded = _loaded(patterns)
    _check_alike(loaded)
    weights = _weights(loaded, resamples, seed)
    drawn = {
        name: replicate_patterns(found.values, own) for (name, found), own in zip(loaded.items(), weights, strict=True)
    }
    rows = [
        (first, second, *_numbers(CORRELATIONS[method](drawn[first], drawn[second]), CORRELATION))
        for first, second in combinations(drawn, 2)
    ]
    return pd.DataFrame(rows, columns=["first", "second", *NUMBERS])


def _loaded(patterns: Mapping[str, Given]) -> dict[str, StoredPatterns]:
    """All patterns as arrays.

    Raises:
        InputError: none is given, or one cannot be read.
    """
    if not patterns:
        raise InputError("no pattern was given: give the paths of patterns by name.")
    return {name: one if isinstance(one, StoredPatterns) else load_patterns(one) for name, one in patterns.items()}


def _check_alike(loaded: Mapping[str, StoredPatterns]) -> None:
    """Refuse patterns that cannot be correlated.

    Raises:
        InputError: naming two of them, or there is only one.
    """
    (first, reference), *others = loaded.items()
    if not others:
        raise InputError(f"'{first}' is the only pattern: give two or more.")
    for name, one in others:
        if one.mean.shape != reference.mean.shape:
            shapes = [" x ".join(map(str, found.mean.shape)) for found in (reference, one)]
            raise InputError(
                f"'{first}' has {shapes[0]} heads but '{name}' has {shapes[1]}: compare patterns of models with the "
                "same numbers of layers and heads."
            )


def _weights(
    loaded: Mapping[str, StoredPatterns], resamples: int, seed: int
) -> list[Float64[np.ndarray, "1+{resamples} samples"]]:
    """Weights of the samples of each; patterns on the same samples share draws, with the name of the first."""
    draws: list[tuple[Sequence[str], str]] = []
    for name, found in loaded.items():
        draws.append((found.ids, next((draw for ids, draw in draws if ids == found.ids), name)))
    return [probe_weights(len(ids), draw, resamples, seed) for ids, draw in draws]


def _numbers(replicates: np.ndarray, limits: Limits) -> tuple[float, ...]:
    """Value, low, high and plain value of replicates [1 + B]."""
    value, low, high = estimate_and_interval(replicates, limits=limits)
    return float(value), float(low), float(high), float(replicates[0])
