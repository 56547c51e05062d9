"""The settings of the competence study, and what is evaluated for it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field

from headpatterns.experiment.fields import OWN_SEEDS, Names, Section, Seeds, Selection
from headpatterns.experiment.needed import ItemSet, base_name
from headpatterns.experiment.schema import EvaluationSet
from headpatterns.experiment.tables import variant_row
from headpatterns.studies.adaptation import settings as adaptation

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment
    from headpatterns.experiment.runs import Run

NAME = "competence"


class Settings(Section):
    """What can the models do? Answers to each task's probe set, before fine-tuning on the task and after it."""

    models: Names | None = Field(
        description="models of studies.adaptation; null takes all, and an empty list evaluates nothing"
    )
    tasks: Selection | None = Field(description="tasks of its group; null takes all")
    seeds: Seeds | None = Field(None, description=OWN_SEEDS)


def selected(experiment: "Experiment") -> bool:
    """Whether there are tasks at all; without an evaluation, the decrease of the loss decides."""
    return bool(adaptation.runs(experiment))


def runs(experiment: "Experiment") -> "list[Run]":
    """Runs of the adaptation study that are evaluated, before and after; empty for a group that does not exist."""
    group = experiment.settings(adaptation.NAME).group
    known = group in experiment.config.task_groups
    return adaptation.some_runs(experiment, experiment.settings(NAME)) if known else []


def sets(experiment: "Experiment") -> dict[str, str]:
    """The evaluation set of each task: a set of the config that is exactly its probe rows, or one with its name."""
    written = {one.dataset: name for name, one in experiment.config.evaluation.sets.items() if _is_plain(one)}
    return {run.task: written.get(run.task, run.task) for run in runs(experiment)}


def _is_plain(described: EvaluationSet) -> bool:
    """Whether a set of the config names only its dataset."""
    return described.model_fields_set == {"dataset"}


def evaluation_sets(experiment: "Experiment") -> dict[str, ItemSet]:
    """The probe rows of every task that are not a set of the config; they need no gold answers."""
    written = experiment.config.evaluation.sets
    return {name: ItemSet(dataset=task, answers_needed=False)
            for task, name in sets(experiment).items() if name not in written}  # fmt: skip


def variants(experiment: "Experiment") -> list[dict[str, Any]]:
    """Every run and the model before it, on the probe rows of its task."""
    named = sets(experiment)
    return [
        variant_row(experiment, NAME, run.model, run.seed, state, checkpoint, named[run.task])
        for run in runs(experiment)
        for state, checkpoint in (("before", base_name(experiment.config, run.model, run.seed)), ("after", run))
    ]


def names(experiment: "Experiment") -> Iterator[str]:
    """Models, tasks and seeds that the adaptation study does not offer, and task names that other sets have."""
    yield from adaptation.not_offered(experiment, NAME, experiment.settings(NAME))
    written = experiment.config.evaluation.sets
    for task, name in sets(experiment).items():
        if name in written and not (_is_plain(written[name]) and written[name].dataset == task):
            yield (
                f"evaluation.sets.{name} has the name of a task of studies.{NAME}, but other rows: choose another name."
            )
        for study in experiment.studies:
            other = study.evaluation_sets(experiment).get(name)
            if other and (other.dataset, other.domain) != (task, ""):
                yield (
                    f"datasets.{task} has the name of an evaluation set of studies.{study.name}: choose another name."
                )
