"""Scores: every evaluation of the other studies, and those of further checkpoints on any evaluation set."""

from typing import TYPE_CHECKING

from headpatterns.experiment.study import Study
from headpatterns.studies.benchmarks import settings

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def selected(experiment: "Experiment") -> bool:
    """Whether anything is evaluated, for this study or another, because its table has the scores of all."""
    return bool(experiment.variants)


STUDY = Study(
    name=settings.NAME,
    place=70,
    settings=settings.Settings,
    selected=selected,
    runs=settings.runs,
    names=settings.names,
    variants=settings.variants,
    section="headpatterns.studies.benchmarks.section:section",
)
