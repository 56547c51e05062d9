"""The settings of the levels study, and its runs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from headpatterns.experiment.fields import Names, Section
from headpatterns.experiment.needed import group_runs
from headpatterns.experiment.references import unknown, unknown_in

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment
    from headpatterns.experiment.runs import Run

NAME = "levels"


class Settings(Section):
    """How high are activation levels, before fine-tuning and after it?"""

    models: Names = Field(description="models, in display order; an empty list leaves the study out")
    group: str = Field(description="task group that the models are fine-tuned on")


def selected(experiment: "Experiment") -> bool:
    """Whether the config asks for the study."""
    return bool(experiment.settings(NAME).models)


def runs(experiment: "Experiment") -> "list[Run]":
    """Every model on every task of the group, with every seed."""
    settings: Settings = experiment.settings(NAME)
    return group_runs(experiment.config, settings.models, [settings.group])


def names(experiment: "Experiment") -> Iterator[str]:
    """Names that the config does not define."""
    settings: Settings = experiment.settings(NAME)
    yield from unknown_in(f"studies.{NAME}.models", "model", settings.models, experiment.config.models)
    yield from unknown(f"studies.{NAME}.group", "task group", settings.group, experiment.config.task_groups)
