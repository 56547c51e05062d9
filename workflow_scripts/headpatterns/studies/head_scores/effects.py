"""The effects behind the claims about scores: whether patterns rank heads better than norms, and changes agree."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.statistics import CORRELATION, DIFFERENCE_OF_CORRELATIONS, R2
from headpatterns.statistics.bootstrap import Limits
from headpatterns.studies.effects import Measured
from headpatterns.studies.head_scores import measures
from headpatterns.studies.head_scores.files import Key, read_runs
from headpatterns.studies.jackknife import over_runs
from headpatterns.studies.validity.measures import ABSOLUTE, DIFFERENCE, SIGNED

PATTERN, ESTIMATE = "abs_of_sum", "signed_sum"
NORMS = ("gradient_norm", "output_norm", "norm_product")

Found = Mapping[measures.Kind, np.ndarray]


def measure(ablations: Sequence[Path], runs: Sequence[Sequence[Any]], resamples: int, seed: int) -> list[Measured]:
    """The effects of every model, each about one ablation.

    Args:
        ablations: folders of ablate_heads, made with scores.
        runs: model, task and training seed of each.
        resamples: bootstrap replicates of the samples.
        seed: of the bootstrap.

    Returns:
        Only effects for which all scores were computed.

    Raises:
        InputError: files are damaged or do not fit each other.
    """
    by_model: dict[str, dict[Key, Mapping[str, Found]]] = {}
    ways: dict[str, list[str]] = {}
    for key, run in read_runs(ablations, runs, resamples, seed).items():
        by_model.setdefault(key.model, {})[key] = measures.of_run(run, 1)
        ways[key.model] = list(run.phases["before"].draws)
    return [
        one for model, of_runs in by_model.items() for name in ways[model] for one in of_ablation(model, name, of_runs)
    ]


def of_ablation(model: str, ablation: str, of_runs: Mapping[Key, Mapping[str, Found]]) -> list[Measured]:
    """The effects of a model about one ablation."""

    def ranks(score: str, way: str = ABSOLUTE, measure: str = measures.SPEARMAN) -> measures.Kind:
        return (score, ablation, way, measure)

    parts: list[tuple[str, Callable[[Mapping[str, Found]], np.ndarray], Limits]] = [
        ("pattern_ranks_heads", lambda found: found["after"][ranks(PATTERN)], CORRELATION),
        (
            "pattern_beats_norms",
            lambda found: (
                found["after"][ranks(PATTERN)] - np.max([found["after"][ranks(norm)] for norm in NORMS], axis=0)
            ),
            DIFFERENCE_OF_CORRELATIONS,
        ),
        ("change_follows_change", lambda found: found[DIFFERENCE][ranks(PATTERN, measures.MOVED)], CORRELATION),
        ("estimate_explains", lambda found: found["after"][ranks(ESTIMATE, SIGNED, measures.R2)], R2),
    ]
    made = []
    for name, take, limits in parts:
        try:
            values = {key: take(found) for key, found in of_runs.items()}
        except KeyError:
            continue

        def mean(some: Sequence[Key], of: Mapping[Key, np.ndarray] = values) -> float:
            return float(np.mean([of[key][0] for key in some]))

        replicates = np.mean(list(values.values()), axis=0)
        made.append(Measured(name, model, ablation, over_runs(list(values), replicates, mean, limits=limits)))
    return made
