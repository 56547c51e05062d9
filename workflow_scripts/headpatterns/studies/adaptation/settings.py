"""The settings of the adaptation study, and its runs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import Field

from headpatterns.experiment.fields import OWN_SEEDS, Names, Section, Seeds
from headpatterns.experiment.needed import group_runs
from headpatterns.experiment.references import unknown, unknown_in
from headpatterns.experiment.runs import Run

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment

NAME = "adaptation"


class Settings(Section):
    """Patterns before and after fine-tuning: Table 1, Figures 1 and 2."""

    models: Names = Field(description="models, in display order; an empty list leaves the study out")
    group: str = Field(description="task group that the models are fine-tuned on")
    seeds: Seeds | None = Field(None, description=OWN_SEEDS)


class Some(Protocol):
    """The runs that another study takes from this one: some of its models, tasks and seeds, or all for null."""

    @property
    def models(self) -> list[str] | None:
        """Models."""

    @property
    def tasks(self) -> list[str] | None:
        """Tasks of the group."""

    @property
    def seeds(self) -> list[int] | None:
        """Training seeds."""


def runs(experiment: "Experiment") -> list[Run]:
    """Every model on every task of the group, with every seed of the study."""
    settings: Settings = experiment.settings(NAME)
    return group_runs(experiment.config, settings.models, [settings.group], experiment.seeds(NAME))


def names(experiment: "Experiment") -> Iterator[str]:
    """Names that the config does not define."""
    settings: Settings = experiment.settings(NAME)
    yield from unknown_in(f"studies.{NAME}.models", "model", settings.models, experiment.config.models)
    yield from unknown(f"studies.{NAME}.group", "task group", settings.group, experiment.config.task_groups)


def some_runs(experiment: "Experiment", chosen: Some) -> list[Run]:
    """The runs of this study that another takes; empty for a group that does not exist, which `names` reports."""
    if experiment.settings(NAME).group not in experiment.config.task_groups:
        return []
    return [
        run
        for run in runs(experiment)
        if (chosen.models is None or run.model in chosen.models)
        and (chosen.tasks is None or run.task in chosen.tasks)
        and (chosen.seeds is None or run.seed in chosen.seeds)
    ]


def of_tasks(taken: list[Run], model: str, seed: int | str) -> list[Run]:
    """One run for each task that a study takes, with a model and seed, which may be wildcards of a rule."""
    tasks = {run.task: run.training_set for run in taken}
    return [Run(model, training_set, seed) for training_set in tasks.values()]  # type: ignore[arg-type]


def named(taken: list[Run]) -> dict[str, Any]:
    """The model, task and seed of each table of runs, in their order."""
    return {"named": [[run.model, run.task, run.seed] for run in taken]}


def not_offered(experiment: "Experiment", study: str, chosen: Some) -> Iterator[str]:
    """Models, tasks and seeds that another study takes and this one does not have."""
    offered: Settings = experiment.settings(NAME)
    group = experiment.config.task_groups.get(offered.group)
    if group is None:  # `names` reports it
        return
    for key, given, valid in (("model", chosen.models, offered.models), ("task", chosen.tasks, group.tasks)):
        yield from unknown_in(f"studies.{study}.{key}s", f"{key} of studies.{NAME}", given or [], valid)
    for seed in chosen.seeds or []:
        if seed not in experiment.seeds(NAME) and seed in experiment.config.seeds:
            yield f"studies.{study}.seeds has {seed}, but studies.{NAME} does not train with it: remove it."
