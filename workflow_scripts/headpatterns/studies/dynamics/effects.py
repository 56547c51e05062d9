"""The effects behind the claims about Figure 5, with error terms: when patterns change, which change most, and why."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy

from headpatterns.attribution.files import steps
from headpatterns.errors import InputError
from headpatterns.experiment import run_table
from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import CORRELATION, UNLIMITED, pearson, replicate_patterns
from headpatterns.statistics.bootstrap import Limits
from headpatterns.statistics.effects import Effect
from headpatterns.studies import patterns
from headpatterns.studies.effects import Measured
from headpatterns.studies.jackknife import over_runs
from headpatterns.studies.reading import PLAIN, Reading

FIRST_STEPS = 0.25
"""The share of the training steps that counts as "the first steps" of Figure 5."""

CONVERGED = 0.9
"""The share of the final change at which a pattern counts as converged."""


@dataclass(frozen=True)
class Course:
    """Values of a run; change is `1 - correlation` with the base model's pattern.

    Attributes:
        early: [1 + B], change after the first quarter of the steps, interpolated between saved ones.
        final: [1 + B], change after the last step.
        converged: [1 + B], the share of the steps after which the change first is 90 % of the final one.
        loss: [1 + B], of the base model on the probe set, nats per response token.
        gain: [1 + B], decrease of that loss by fine-tuning, as a share of it.
    """

    early: np.ndarray
    final: np.ndarray
    converged: np.ndarray
    loss: np.ndarray
    gain: np.ndarray


Courses = Mapping[tuple[str, str, int], Course]
"""By model, task and seed."""

Statistic = Callable[[Sequence[RunRow], int | None], np.ndarray]
"""A statistic of some runs: [1 + B], or only the requested number of its first replicates."""


def measure(
    runs: Path, resamples: int, seed: int, changes_most: str | None = None, reading: Reading = PLAIN
) -> list[Measured]:
    """The effects of the dynamics study.

    Args:
        runs: run table (CSV).
        resamples: bootstrap replicates of the probe set.
        seed: seed of the bootstrap.
        changes_most: the model that changes most according to the paper; None if it names none.
        reading: how patterns are read.

    Raises:
        InputError: the run table or a pattern folder cannot be used, or the study has no model `changes_most`.
    """
    rows = patterns.rows_of(runs, "dynamics")
    models = list(dict.fromkeys(run.model for run in rows))
    if changes_most is not None and changes_most not in models:
        raise InputError(
            f"studies.dynamics.changes_most is {changes_most}: the study has no such model: use one of "
            f"{', '.join(models)}."
        )
    patterns.check(rows, reading)
    courses = {(run.model, run.task, run.seed): course(run, resamples, seed, reading) for run in rows}
    found = []
    for model in models:
        of_model = [run for run in rows if run.model == model]
        found.append(Measured("early_share", model, "", effect(of_model, early_share(courses))))
    if changes_most is not None and len(models) > 1:
        found.append(Measured("changes_most", changes_most, "", effect(rows, margin(courses, changes_most))))
    for name, statistic in (
        ("change_goes_with_gain", gain_of_change(courses)),
        ("stronger_converges_faster", strength_and_speed(courses)),
    ):
        found.append(Measured(name, "", "", effect(rows, statistic, CORRELATION)))
    return found


def course(run: RunRow, resamples: int, seed: int, reading: Reading) -> Course:
    """The values of one run."""
    weights = patterns.weights(run, resamples, seed, reading)
    saved = steps(run.patterns)
    base = replicate_patterns(patterns.load(run, saved[0], reading), weights)
    reached = [pearson(base, replicate_patterns(patterns.load(run, step, reading), weights)) for step in saved]
    change = 1 - np.stack(reached, axis=1)
    change[:, 0] = 0.0
    losses = [weights @ patterns.losses(run, step) for step in (saved[0], saved[-1])]
    shares = np.array(saved) / saved[-1]
    return Course(
        early=np.array([np.interp(FIRST_STEPS, shares, one) for one in change]),
        final=change[:, -1],
        converged=first_reaching(shares, change, CONVERGED),
        loss=losses[0],
        gain=1 - losses[1] / losses[0],
    )


def first_reaching(shares: np.ndarray, change: np.ndarray, part: float) -> np.ndarray:
    """The share of the steps at which the change first is `part` of the final one, interpolated between saved steps.

    Args:
        shares: [steps] of all steps, from 0 to 1.
        change: [1 + B, steps], 0 at the first.
        part: between 0 and 1.

    Returns:
        [1 + B]; NaN if the final change is not above 0.
    """
    goal = part * change[:, -1]
    after = (change >= goal[:, None]).argmax(axis=1)
    rows = np.arange(len(change))
    reached, missed = change[rows, after], change[rows, after - 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        place = (goal - missed) / (reached - missed)
    found = shares[after - 1] + place * (shares[after] - shares[after - 1])
    return np.where(goal > 0, found, np.nan)


def effect(runs: Sequence[RunRow], statistic: Statistic, limits: Limits = UNLIMITED) -> Effect:
    """The effect of a statistic of runs, whose least and largest value are `limits`."""
    return over_runs(runs, statistic(runs, None), lambda some: float(statistic(some, 1)[0]), limits=limits)


def early_share(courses: Courses) -> Statistic:
    """The mean change after the first quarter of the steps, as a share of the mean final change."""

    def share(runs: Sequence[RunRow], count: int | None) -> np.ndarray:
        early, final = (np.mean(of(courses, runs, name, count), axis=0) for name in ("early", "final"))
        found = np.full(early.shape, np.nan)
        np.divide(early, final, out=found, where=final > 0)
        return found

    return share


def margin(courses: Courses, model: str) -> Statistic:
    """The mean final change of a model minus the largest of the others, over the same tasks and seeds."""

    def difference(runs: Sequence[RunRow], count: int | None) -> np.ndarray:
        means = {
            name: np.mean(of(courses, of_model, "final", count), axis=0)
            for (name,), of_model in run_table.grouped(runs, "model").items()
        }
        return np.asarray(means[model] - np.max([mean for name, mean in means.items() if name != model], axis=0))

    return difference


def gain_of_change(courses: Courses) -> Statistic:
    """Spearman's correlation over runs of the final change with the relative decrease of the loss."""
    return lambda runs, count: spearman(of(courses, runs, "final", count), of(courses, runs, "gain", count))


def strength_and_speed(courses: Courses) -> Statistic:
    """Spearman's correlation over models and tasks of the base model's loss with the steps to convergence.

    Both are means over seeds. It is above 0 if stronger models, which have a lower loss, need fewer steps.
    """

    def correlation(runs: Sequence[RunRow], count: int | None) -> np.ndarray:
        cells = run_table.grouped(runs, "model", "task").values()
        means = [
            np.array([np.mean(of(courses, cell, name, count), axis=0) for cell in cells])
            for name in ("loss", "converged")
        ]
        return spearman(*means)

    return correlation


def of(courses: Courses, runs: Sequence[RunRow], name: str, count: int | None) -> np.ndarray:
    """A value of each run: [runs, 1 + B], or its first replicates."""
    return np.array([getattr(courses[run.model, run.task, run.seed], name)[:count] for run in runs])


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's correlation over the first axis, [n, 1 + B] twice to [1 + B]; NaN if one of them does not vary."""
    ranks = []
    for values in (a, b):
        undefined = np.isnan(values).any(axis=0)
        ranks.append(np.where(undefined, np.nan, scipy.stats.rankdata(np.nan_to_num(values), axis=0)))
    return pearson(*(one.T[:, None, :] for one in ranks))
