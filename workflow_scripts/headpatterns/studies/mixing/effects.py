"""The numbers behind the claims on Table 2: the gain from mixing, and whether the fit keeps the paper's pair."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.experiment.variants import model_labels, read_variants
from headpatterns.statistics.accuracy import gain, gain_over_draws
from headpatterns.statistics.effects import SAMPLES, SEEDS, Component, Effect
from headpatterns.studies.effects import Measured
from headpatterns.studies.gains import named
from headpatterns.studies.mixing import mixture, proportions
from headpatterns.studies.mixing.analysis import of_model
from headpatterns.studies.outcomes import outcomes
from headpatterns.studies.reading import Reading

GAINS = {
    "ours_minus_sft": ("ours", "sft"),
    "ours_minus_random": ("ours", "random"),
    "sft_minus_base": ("sft", "base"),
    "random_minus_sft": ("random", "sft"),
    "ours_minus_uniform": ("ours", "uniform"),
    "ours_minus_size": ("ours", "size-proportional"),
    "grid_minus_ours": ("grid", "ours"),
    "oracle_minus_sft": ("oracle", "sft"),
    "oracle_minus_ours": ("oracle", "ours"),
    "oracle_minus_random": ("oracle", "random"),
}
"""Effects by name: the accuracy of the first variant minus that of the second.

The gain in the negative log-likelihood of the gold answer, nats per token, has the same name with `_nll` appended.
"""


def measure(variants: Path, items: Sequence[Path], resamples: int, seed: int) -> list[Measured]:
    """The effects of `GAINS` for every model that has both variants, with the error term of `accuracy.gain`.

    Effects that compare a mixture with random draws also have the exact p-values of its rank among them.

    Args:
        variants: variants.csv; the mixing study is used.
        items: CSV files of evaluate, single items.
        resamples: bootstrap replicates of the evaluation set.
        seed: seed of the bootstrap.

    Raises:
        InputError: a file cannot be used, or the variants are not comparable.
    """
    rows_of_study = read_variants(variants, "mixing")
    found = outcomes(rows_of_study, items, resamples, seed)
    measured = []
    for model in model_labels(rows_of_study):
        for measure, cells in found.items():
            own = of_model(cells, model)
            for name, (better, worse) in GAINS.items():
                if better in own and worse in own:
                    compared = gain_over_draws if worse == "random" else gain
                    measured.append(Measured(named(name, measure), model, "", compared(own[better], own[worse])))
    return measured


def measure_choice(
    fits: Sequence[Mapping[str, Any]],
    keep: int,
    expected_pair: Sequence[str],
    resamples: int,
    seed: int,
    reading: Reading,
) -> list[Measured]:
    """`kept_pair` of every model; nothing without an expected pair.

    Args:
        fits: `model`, `seed`, `target` (a pattern folder) and `candidates` (pattern folders by task) of every fit.
        keep: number of tasks that are kept.
        expected_pair: the two tasks that the paper keeps, in any order.
        resamples: bootstrap replicates of the probe sets.
        seed: seed of the bootstrap.
        reading: how patterns are read.

    Raises:
        InputError: as `mixture.fit`.
    """
    if not expected_pair:
        return []
    kept: dict[str, list[np.ndarray]] = {}
    chances: dict[str, float] = {}
    for one in fits:
        candidates = {task: Path(folder) for task, folder in one["candidates"].items()}
        beta, _ = mixture.fit(Path(one["target"]), candidates, resamples, seed, reading)["change"]
        pair = sorted(list(candidates).index(task) for task in expected_pair)
        hits = np.array([proportions.kept(replicate, keep) == pair for replicate in beta], dtype=float)
        kept.setdefault(one["model"], []).append(hits)
        chances[one["model"]] = proportions.chance(len(candidates), keep)
    return [Measured("kept_pair", model, "", choice(hits, chances[model])) for model, hits in kept.items()]


def choice(hits: Sequence[np.ndarray], chance: float) -> Effect:
    """The share of replicates whose choice is the expected one, minus chance, the mean over seeds.

    The error term describes one choice, not the share: another draw of probe samples either makes the choice or not.
    So a share of one half is the most uncertain, and a share of 1 has no uncertainty from samples. In that case only
    the exact p remains: how often a random choice is the expected one. All seeds may share the luck of one choice.

    Args:
        hits: for each seed, [1 + B], 1 where the choice is the expected one, the estimate first.
        chance: the share that a random choice reaches.
    """
    mean = np.mean(hits, axis=0)
    shares = [float(one[1:].mean()) for one in hits]
    components = [Component(SAMPLES, float(mean[1:].var(ddof=1)), np.inf)]
    if len(hits) > 1:
        components.insert(0, Component(SEEDS, float(np.var(shares, ddof=1)) / len(hits), len(hits) - 1))
    found = Effect(float(np.mean(shares)) - chance, float(mean[0]) - chance, tuple(components))
    always = all(one[0] for one in hits)
    return replace(
        found, p_above=chance if always else 1.0, p_below=1.0, p_least=chance, limits=(-chance, 1.0 - chance)
    )
