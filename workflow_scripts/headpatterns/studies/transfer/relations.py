"""Relations between tasks: how similar their patterns are, and how much training on one helps another.

A relation is replicates of a matrix [1 + B, tasks, tasks] for each seed, the estimate first. Similarity and transfer
have the same draws of samples, since both use the same probe samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.experiment import run_table
from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import CORRELATION
from headpatterns.statistics.effects import Effect
from headpatterns.statistics.mantel import SPEARMAN, SYMMETRISED, Mantel, correlation, mantel
from headpatterns.studies import patterns
from headpatterns.studies.adaptation import measures, similarity
from headpatterns.studies.adaptation.similarity import PAPER
from headpatterns.studies.jackknife import over_runs
from headpatterns.studies.reading import Reading
from headpatterns.studies.transfer import losses
from headpatterns.studies.transfer.losses import Key, OnTask

TRANSFER = "transfer"
"""The relation of training on the first task and measuring the second: its gain, nats per response token."""

SIMILARITIES = (*PAPER, "log_ratio")
"""The relations of patterns that transfer is compared with."""

By = Mapping[int, np.ndarray]
"""Replicates [1 + B, tasks, tasks] by seed."""


@dataclass(frozen=True)
class OfModel:
    """The relations of a model.

    Attributes:
        runs: every task with every seed.
        tasks: tasks in the order of the matrices.
        relations: relations by name, `TRANSFER` and `SIMILARITIES`.
    """

    runs: Sequence[RunRow]
    tasks: list[str]
    relations: Mapping[str, By]

    def mean(self, name: str, runs: Sequence[RunRow] | None = None, replicates: slice = slice(None)) -> np.ndarray:
        """A relation, averaged over seeds, between the tasks of some runs, or of all: [1 + B, tasks, tasks]."""
        some = self.runs if runs is None else runs
        places = np.array([self.tasks.index(task) for task in dict.fromkeys(run.task for run in some)])
        seeds = list(dict.fromkeys(run.seed for run in some))
        taken = [self.relations[name][seed][replicates][:, places[:, None], places] for seed in seeds]
        return np.asarray(np.mean(taken, axis=0))

    def plain(self, name: str) -> np.ndarray:
        """The estimate of `mean` alone, [tasks, tasks]."""
        matrix: np.ndarray = self.mean(name, replicates=slice(1))[0]
        return matrix


def gathered(
    runs: Path, paths: Sequence[Path], named: Sequence[Sequence[Any]], resamples: int, seed: int, reading: Reading
) -> tuple[dict[str, OfModel], dict[Key, dict[str, OnTask]]]:
    """The relations of every model, and the losses behind transfer.

    Args:
        runs: run table (CSV); the adaptation study is used.
        paths: tables of transfer_losses.
        named: model, task and seed of each.
        resamples: bootstrap replicates of the probe samples.
        seed: of the bootstrap.
        reading: how patterns are read.

    Raises:
        InputError: the run table, a pattern folder or a table of losses cannot be used.
    """
    found = losses.read_all(paths, named)
    of_study = [run for run in patterns.rows_of(runs, "adaptation") if (run.model, run.task, run.seed) in found]
    patterns.check(of_study, reading)
    models = {}
    for (model,), own in run_table.grouped(of_study, "model").items():
        relations: dict[str, dict[int, np.ndarray]] = {}
        for (training_seed,), of_seed in run_table.grouped(own, "seed").items():
            before, after = measures.stacked(of_seed, resamples, seed, reading)
            for name in SIMILARITIES:
                relations.setdefault(name, {})[training_seed] = similarity.correlations(name, before, after)
            tasks = [run.task for run in of_seed]
            on_tasks = [found[model, task, training_seed] for task in tasks]
            gains = [[own_gains[task].gain(task, resamples, seed) for task in tasks] for own_gains in on_tasks]
            relations.setdefault(TRANSFER, {})[training_seed] = np.moveaxis(np.array(gains), -1, 0)
        models[model] = OfModel(own, list(dict.fromkeys(run.task for run in own)), relations)
    return models, found


def held_against(
    known: OfModel, name: str, design: str = SYMMETRISED, statistic: str = SPEARMAN
) -> tuple[Effect, Mantel]:
    """The correlation of a similarity with transfer, both averaged over seeds: its error term, and Mantel's test."""

    def estimate(some: Sequence[RunRow]) -> float:
        similar, gained = (known.mean(one, some, slice(1)) for one in (name, TRANSFER))
        return float(correlation(similar, gained, design, statistic)[0])

    replicates = correlation(known.mean(name), known.mean(TRANSFER), design, statistic)
    effect = over_runs(known.runs, replicates, estimate, limits=CORRELATION)
    test = mantel(known.plain(name), known.plain(TRANSFER), design, statistic)
    exact = replace(effect, p_above=test.p_above, p_below=test.p_below, p_least=test.p_least)
    return exact, test
