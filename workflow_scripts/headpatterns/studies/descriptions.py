"""Shared parts of the descriptions of several studies; nothing large is imported here."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headpatterns.experiment.study import Paths

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment
    from headpatterns.experiment.runs import Run


def bootstrap(experiment: "Experiment") -> dict[str, Any]:
    """The settings of the bootstrap: number of replicates and seed."""
    return {"resamples": experiment.config.analysis.resamples, "seed": experiment.config.analysis.seed}


def reading(experiment: "Experiment") -> dict[str, Any]:
    """How the config reads patterns: the fields of a `Reading`."""
    analysis = experiment.config.analysis
    return {
        "reduction": experiment.config.patterns.reduction,
        "normalisation": analysis.normalisation,
        "weighting": analysis.weighting,
        "change": analysis.change,
        "intercept": analysis.intercept,
    }


def resampled(experiment: "Experiment") -> dict[str, Any]:
    """The settings of the bootstrap, and how patterns are read."""
    return {**bootstrap(experiment), "reading": reading(experiment)}


def answers(study: str) -> Callable[["Experiment"], Paths]:
    """Inputs: the table of variants as `variants`, and all answers evaluated for a study as `items`."""
    return lambda experiment: {"variants": experiment.paths.variants, "items": experiment.predictions(study)}


def run_table(**analyses: str) -> Callable[["Experiment"], Paths]:
    """Inputs: the run table as `runs`, and tables of numbers, their names by keyword."""
    return lambda experiment: {"runs": experiment.paths.run_table, **_tables(experiment, analyses)}


def variants(**analyses: str) -> Callable[["Experiment"], Paths]:
    """Inputs: the table of variants as `variants`, and tables of numbers, their names by keyword."""
    return lambda experiment: {"variants": experiment.paths.variants, **_tables(experiment, analyses)}


def patterns(runs: Callable[["Experiment"], "list[Run]"]) -> Callable[["Experiment"], list[str]]:
    """The folders of the patterns of runs on the probe sets of their own tasks."""
    return lambda experiment: [experiment.paths.patterns(run) for run in runs(experiment)]


def _tables(experiment: "Experiment", analyses: dict[str, str]) -> dict[str, str]:
    return {key: experiment.paths.analysis(name) for key, name in analyses.items()}
