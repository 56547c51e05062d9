"""The settings of the methods study, and its runs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from headpatterns.experiment.fields import OWN_SEEDS, Names, Section, Seeds
from headpatterns.experiment.needed import group_runs
from headpatterns.experiment.references import unknown_in

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment
    from headpatterns.experiment.runs import Run

NAME = "methods"


class Settings(Section):
    """Do two ways of training move the same heads? Task groups that train the same tasks in different ways."""

    models: Names = Field(description="models, in display order; an empty list leaves the study out")
    groups: Names = Field(description="task groups to compare: the first with each of the others")
    seeds: Seeds | None = Field(None, description=OWN_SEEDS)


def selected(experiment: "Experiment") -> bool:
    """Whether the config asks for the study."""
    return bool(experiment.settings(NAME).models)


def runs(experiment: "Experiment") -> "list[Run]":
    """Every model on every task that all groups have, in each group, with every seed of the study."""
    settings: Settings = experiment.settings(NAME)
    shared = shared_tasks(experiment)
    every = group_runs(experiment.config, settings.models, settings.groups, experiment.seeds(NAME))
    return [run for run in every if run.task in shared]


def shared_tasks(experiment: "Experiment") -> list[str]:
    """The tasks that all groups have, in the order of the first."""
    groups = [experiment.config.task_groups[name].tasks for name in experiment.settings(NAME).groups]
    return [task for task in groups[0] if all(task in tasks for tasks in groups)] if groups else []


def names(experiment: "Experiment") -> Iterator[str]:
    """Names that the config does not define."""
    settings: Settings = experiment.settings(NAME)
    yield from unknown_in(f"studies.{NAME}.models", "model", settings.models, experiment.config.models)
    yield from unknown_in(f"studies.{NAME}.groups", "task group", settings.groups, experiment.config.task_groups)


def problems(experiment: "Experiment") -> Iterator[str]:
    """Too few groups to compare, or groups that have no task in common."""
    groups = experiment.settings(NAME).groups
    if not selected(experiment):
        return
    if len(groups) < 2:
        yield f"studies.{NAME}.groups names {len(groups)} task groups: name two or more to compare."
    elif not shared_tasks(experiment):
        yield f"studies.{NAME}.groups: {', '.join(groups)} have no task in common: give them a common task."
