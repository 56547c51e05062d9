"""The settings of the composition study, and its runs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from headpatterns.experiment.fields import OWN_SEEDS, Names, Section, Seeds, Selection
from headpatterns.experiment.needed import group_runs
from headpatterns.experiment.references import unknown, unknown_in

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment
    from headpatterns.experiment.runs import Run

NAME = "composition"
EFFECTS = ("pair_r2", "pair_beats_base_patterns", "pair_margin", "pair_margin_partialled", "pair_beats_null")
"""Effects for the claims."""


class Settings(Section):
    """The change on a complex task as a sum of the changes on basic tasks (Eq. 3, 10): Figure 4."""

    models: Names = Field(description="models, in display order; an empty list leaves the study out")
    groups: Selection = Field(description="task groups with a complex task")
    seeds: Seeds | None = Field(None, description=OWN_SEEDS)


def selected(experiment: "Experiment") -> bool:
    """Whether the config asks for the study."""
    return bool(experiment.settings(NAME).models)


def runs(experiment: "Experiment") -> "list[Run]":
    """Every model on every task of the groups, with every seed of the study."""
    settings: Settings = experiment.settings(NAME)
    return group_runs(experiment.config, settings.models, settings.groups, experiment.seeds(NAME))


def names(experiment: "Experiment") -> Iterator[str]:
    """Names that the config does not define, and groups without a complex task."""
    settings: Settings = experiment.settings(NAME)
    groups = experiment.config.task_groups
    yield from unknown_in(f"studies.{NAME}.models", "model", settings.models, experiment.config.models)
    for group in settings.groups if settings.models else []:
        yield from unknown(f"studies.{NAME}.groups", "task group", group, groups)
        if group in groups and not groups[group].complex:
            yield f"task_groups.{group}.complex is missing, but studies.{NAME} needs it: name the task."


def expected_pairs(experiment: "Experiment") -> dict[str, list[str]]:
    """The best pair according to the paper, by task group, if both tasks are among the group's basic tasks."""
    found = {}
    for name in experiment.settings(NAME).groups:
        group = experiment.config.task_groups[name]
        pair = set(group.expected_pair or [])
        if pair and pair <= set(group.tasks) - {group.complex}:
            found[name] = [task for task in group.tasks if task in pair]
    return found
