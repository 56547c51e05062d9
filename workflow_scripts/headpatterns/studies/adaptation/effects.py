"""The effects behind the claims about Table 1 and Figure 2, with error terms: levels, their spread, and similarity."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from headpatterns.attribution import files
from headpatterns.experiment import run_table
from headpatterns.experiment.fields import ModelValue
from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import DIFFERENCE_OF_CORRELATIONS, LIMITS, SHARE, STATISTICS, UNLIMITED, permutation
from headpatterns.statistics.bootstrap import Limits
from headpatterns.statistics.effects import Effect
from headpatterns.statistics.levels import mean_log_ratio, share_active, share_rising
from headpatterns.statistics.signs import sign_test
from headpatterns.studies import patterns
from headpatterns.studies.adaptation import measures, similarity
from headpatterns.studies.effects import Measured
from headpatterns.studies.jackknife import over_runs
from headpatterns.studies.reading import PLAIN, Reading

CLUSTERS = {"clusters_before": "before", "clusters_after": "after", "clusters_rates": "change_rate"}
STATES = ("before", "after", "change")
SIGNS = {"heads_rising": 0.5, "active_heads_change": 0.0}
"""Shares that may be the same in every run, and the bound for each task in the exact sign test."""


@dataclass(frozen=True)
class OfModel:
    """Values of a model's runs; all effects are computed from them, without reading patterns again.

    Attributes:
        runs: every task with every seed.
        values: replicates [1 + B] of each run, by name, then by (task, seed).
        means: replicates [1 + B] of the mean pattern of the tasks, averaged over seeds, by name.
        patterns: before and after fine-tuning, only the estimate, each [layers, heads], by (task, seed).
        matrices: correlations [1 + B, tasks, tasks], by name, then by seed.
    """

    runs: Sequence[RunRow]
    values: Mapping[str, Mapping[tuple[str, int], np.ndarray]]
    means: Mapping[str, np.ndarray]
    patterns: Mapping[tuple[str, int], tuple[np.ndarray, np.ndarray]]
    matrices: Mapping[str, Mapping[int, np.ndarray]]

    @property
    def families(self) -> dict[str, str]:
        """The family of every task, in the order of the matrices."""
        return {run.task: run.family for run in self.runs}


def measure(
    runs: Path,
    resamples: int,
    seed: int,
    model_value: ModelValue = "mean_of_statistics",
    reading: Reading = PLAIN,
) -> list[Measured]:
    """The effects of every model of the adaptation study.

    Args:
        runs: run table (CSV).
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap.
        model_value: definition of the spread of a model, as in Table 1.
        reading: how patterns are read.

    Raises:
        InputError: the run table or a pattern folder cannot be used.
    """
    rows_of_study = patterns.rows_of(runs, "adaptation")
    patterns.check(rows_of_study, reading)
    found: list[Measured] = []
    for (model,), of_model in run_table.grouped(rows_of_study, "model").items():
        known = gathered(of_model, resamples, seed, reading)
        found += [*levels(known), *spreads(model, known, model_value), *losses(known)]
        if len(known.families) > 1:
            found += [*pairs_of_tasks(model, known), *clusters(model, known)]
    return found


def gathered(runs: Sequence[RunRow], resamples: int, seed: int, reading: Reading) -> OfModel:
    """Read the patterns of a model, one seed after another, and keep the values for the effects."""
    values: dict[str, dict[tuple[str, int], np.ndarray]] = {}
    matrices: dict[str, dict[int, np.ndarray]] = {}
    kept: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = {}
    means: dict[str, list[np.ndarray]] = {}
    for (training_seed,), of_seed in run_table.grouped(runs, "seed").items():
        before, after = measures.stacked(of_seed, resamples, seed, reading)
        for place, run in enumerate(of_seed):
            key = (run.task, training_seed)
            kept[key] = (before[0, place].copy(), after[0, place].copy())
            pair = (before[:, place], after[:, place])
            for name, replicates in {**of_run(*pair), "loss_fall": loss_fall(run, resamples, seed, reading)}.items():
                values.setdefault(name, {})[key] = replicates
        for name, replicates in spread_of(before.mean(axis=1), after.mean(axis=1)).items():
            means.setdefault(name, []).append(replicates)
        for name in similarity.PAPER:
            matrices.setdefault(name, {})[training_seed] = similarity.correlations(name, before, after)
    return OfModel(runs, values, {name: np.mean(one, axis=0) for name, one in means.items()}, kept, matrices)


def of_run(before: np.ndarray, after: np.ndarray) -> dict[str, np.ndarray]:
    """The effects of one run, [1 + B] each, of patterns [1 + B, layers, heads]."""
    return {
        "level_change": mean_log_ratio(before, after),
        "heads_rising": share_rising(before, after),
        "active_heads_change": share_active(after, before) - share_active(before, before),
        **spread_of(before, after),
    }


def spread_of(before: np.ndarray, after: np.ndarray) -> dict[str, np.ndarray]:
    """Gini coefficient, CV and kurtosis before and after fine-tuning, and their changes, such as `gini_change`."""
    found = {}
    for name, statistic in STATISTICS.items():
        values = measures.with_change(name, statistic(before), statistic(after))
        found.update({f"{name}_{state}": values[name, state] for state in STATES})
    return found


def loss_fall(run: RunRow, resamples: int, seed: int, reading: Reading) -> np.ndarray:
    """Decrease of the loss on the probe set by fine-tuning, nats per response token [1 + B]."""
    steps = files.steps(run.patterns)
    weights = patterns.weights(run, resamples, seed, reading)
    return np.asarray(weights @ (patterns.losses(run, steps[0]) - patterns.losses(run, steps[-1])))


def mean_over_runs(known: OfModel, name: str, tasks_vary: bool = True, task: str = "") -> Measured:
    """The mean over tasks and seeds of a value of each run, for all tasks or only one."""
    of_runs = known.values[name]
    runs = [run for run in known.runs if task in ("", run.task)]
    replicates = np.mean([of_runs[run.task, run.seed] for run in runs], axis=0)

    def estimate(some: Sequence[RunRow]) -> float:
        return float(np.mean([of_runs[run.task, run.seed][0] for run in some]))

    effect = over_runs(runs, replicates, estimate, tasks_vary, limits_of(name))
    if name in SIGNS:
        by_task = [
            estimate([run for run in runs if run.task == one]) for one in dict.fromkeys(run.task for run in runs)
        ]
        above, below, least = sign_test(by_task, SIGNS[name])
        effect = replace(effect, p_above=above, p_below=below, p_least=least, exact_bound=SIGNS[name])
    return Measured(name, runs[0].model, task, effect)


def limits_of(name: str) -> Limits:
    """Least and largest value of an effect."""
    shares = {"heads_rising": SHARE, "active_heads_change": (-1.0, 1.0)}
    spreads = {f"{statistic}_{state}": limits for statistic, limits in LIMITS.items() for state in ("before", "after")}
    return {**shares, **spreads}.get(name, UNLIMITED)


def levels(known: OfModel) -> list[Measured]:
    """Whether the level rises: on average, for how many heads, and beyond the mean level of the base model."""
    return [mean_over_runs(known, name) for name in ("level_change", "heads_rising", "active_heads_change")]


def losses(known: OfModel) -> list[Measured]:
    """Decrease of the loss, on average and for each task."""
    by_task = [mean_over_runs(known, "loss_fall", tasks_vary=False, task=task) for task in known.families]
    return [mean_over_runs(known, "loss_fall"), *by_task]


def spreads(model: str, known: OfModel, model_value: ModelValue) -> list[Measured]:
    """Spread over the heads before and after fine-tuning, and its change, as far as claims are about them."""
    names = [f"{name}_{state}" for state in STATES for name in STATISTICS]
    names = [name for name in names if name not in ("gini_after", "cv_after")]
    if model_value == "mean_of_statistics":
        return [mean_over_runs(known, name) for name in names]
    found = []
    for name in names:
        effect = over_runs(known.runs, known.means[name], of_mean_pattern(known, name), limits=limits_of(name))
        found.append(Measured(name, model, "", effect))
    return found


def of_mean_pattern(known: OfModel, name: str) -> Callable[[Sequence[RunRow]], float]:
    """The estimate of a spread of the mean pattern of some tasks, averaged over seeds."""
    statistic, state = name.rsplit("_", 1)

    def estimate(some: Sequence[RunRow]) -> float:
        values = []
        for of_seed in run_table.grouped(some, "seed").values():
            means = np.mean([known.patterns[run.task, run.seed] for run in of_seed], axis=0)
            before, after = (float(STATISTICS[statistic](mean)) for mean in means)
            values.append({"before": before, "after": after, "change": after - before}[state])
        return float(np.mean(values))

    return estimate


def pairs_of_tasks(model: str, known: OfModel) -> list[Measured]:
    """Whether correlations between tasks fall: on average, and for how many pairs."""
    change = of_matrices(known, ("before", "after"), correlation_change)
    falling = of_matrices(known, ("before", "after"), share_falling, SHARE)
    return [Measured("correlation_change", model, "", change), Measured("pairs_falling", model, "", falling)]


def clusters(model: str, known: OfModel) -> list[Measured]:
    """Whether tasks of a family correlate more than others, with the exact test over the tasks' labels.

    Tasks without a family are left out. Nothing is measured if no two tasks share a family, or no two differ in it.
    """
    tasks = list(known.families)
    places = [place for place, task in enumerate(tasks) if known.families[task]]
    families = [known.families[tasks[place]] for place in places]
    if len(set(families)) in (0, 1, len(families)):
        return []
    found = []
    for name, matrix in CLUSTERS.items():
        mean = np.mean([of_seed[0] for of_seed in known.matrices[matrix].values()], axis=0)
        above, below = permutation.permutation_p(mean[np.ix_(places, places)], families)
        effect = of_matrices(known, (matrix,), within_minus_between)
        exact = replace(effect, p_above=above, p_below=below, p_least=permutation.least_p(families))
        found.append(Measured(name, model, "", exact))
    return found


def of_matrices(
    known: OfModel,
    names: Sequence[str],
    statistic: Callable[..., np.ndarray],
    limits: Limits = DIFFERENCE_OF_CORRELATIONS,
) -> Effect:
    """The effect of a statistic of correlation matrices, averaged over seeds.

    Args:
        known: of one model.
        names: of the matrices.
        statistic: called with the families of T tasks and a matrix [..., T, T] for each name; it returns [...].
        limits: its least and largest value.
    """
    tasks = list(known.families)

    def value(seed: int, some: Sequence[str], replicates: slice) -> np.ndarray:
        places = np.array([tasks.index(task) for task in some])
        taken = [known.matrices[name][seed][replicates][:, places[:, None], places] for name in names]
        return statistic([known.families[task] for task in some], *taken)

    def estimate(some: Sequence[RunRow]) -> float:
        by_seed = run_table.grouped(some, "seed")
        return float(np.mean([value(seed, [run.task for run in of_seed], slice(1))[0]
                              for (seed,), of_seed in by_seed.items()]))  # fmt: skip

    seeds = dict.fromkeys(run.seed for run in known.runs)
    replicates = np.mean([value(seed, tasks, slice(None)) for seed in seeds], axis=0)
    return over_runs(known.runs, replicates, estimate, limits=limits)


def over_pairs(matrix: np.ndarray) -> np.ndarray:
    """The cells of every two different tasks, once each: [..., T, T] to [..., pairs]."""
    return np.asarray(matrix[(..., *np.triu_indices(matrix.shape[-1], 1))])


def correlation_change(families: Sequence[str], before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Mean over pairs of tasks of the correlation after fine-tuning minus that before; NaN without a pair."""
    return mean_over(over_pairs(after - before))


def share_falling(families: Sequence[str], before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Share of the pairs of tasks whose correlation falls; NaN without a pair."""
    return mean_over((over_pairs(after) < over_pairs(before)).astype(float))


def within_minus_between(families: Sequence[str], matrix: np.ndarray) -> np.ndarray:
    """Mean correlation within families minus mean correlation between families; other tasks are left out."""
    places = np.array([place for place, family in enumerate(families) if family], dtype=int)
    named = [families[place] for place in places]
    return permutation.within_minus_between(matrix[..., places[:, None], places], named)


def mean_over(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis; NaN if it is empty."""
    return np.asarray(values.mean(axis=-1) if values.shape[-1] else np.full(values.shape[:-1], np.nan))
