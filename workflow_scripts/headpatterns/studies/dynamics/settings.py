"""The settings of the dynamics study, and its runs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from headpatterns.experiment.fields import OWN_SEEDS, Names, Section, Seeds
from headpatterns.experiment.needed import group_runs
from headpatterns.experiment.references import unknown, unknown_in

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment
    from headpatterns.experiment.runs import Run

NAME = "dynamics"


class Settings(Section):
    """Patterns at every saved step, beside those of the base model (Eq. 6): Figure 5."""

    models: Names = Field(description="models, in display order; an empty list leaves the study out")
    group: str = Field(description="task group that the models are fine-tuned on")
    changes_most: str | None = Field(None, description="the model whose patterns change most in the paper")
    seeds: Seeds | None = Field(None, description=OWN_SEEDS)


def runs(experiment: "Experiment") -> "list[Run]":
    """Every model on every task of the group, with every seed of the study."""
    settings: Settings = experiment.settings(NAME)
    return group_runs(experiment.config, settings.models, [settings.group], experiment.seeds(NAME))


def names(experiment: "Experiment") -> Iterator[str]:
    """Names that the config does not define, and a model that is not in the study."""
    settings: Settings = experiment.settings(NAME)
    yield from unknown_in(f"studies.{NAME}.models", "model", settings.models, experiment.config.models)
    yield from unknown(f"studies.{NAME}.group", "task group", settings.group, experiment.config.task_groups)
    if settings.changes_most is not None:
        path = f"studies.{NAME}.changes_most"
        yield from unknown(path, "model of the study", settings.changes_most, settings.models)
