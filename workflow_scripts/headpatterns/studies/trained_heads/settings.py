"""The settings of the study that trains heads alone, and its runs."""

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

from pydantic import Field

from headpatterns.experiment import arguments
from headpatterns.experiment.fields import OWN_SEEDS, Counts, Names, Section, Seeds, Selection
from headpatterns.experiment.runs import HEADS, HeadsSet, Run, TaskSet
from headpatterns.experiment.values import heads
from headpatterns.studies.adaptation import settings as adaptation
from headpatterns.studies.transplant import settings as transplant
from headpatterns.studies.transplant.settings import Rankings

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment

NAME = HEADS
ALL, RANDOM = "all", "random"


class Settings(Section):
    """Do some heads suffice? The runs of studies.adaptation again, with the weights of some heads alone trained."""

    models: Names | None = Field(
        description="models of studies.adaptation; null takes all, and an empty list leaves the study out"
    )
    tasks: Selection | None = Field(description="tasks of its group; null takes all")
    seeds: Seeds | None = Field(None, description=OWN_SEEDS)
    samples: int = Field(
        ge=2, description="probe samples whose loss is computed; heads are ranked on the other probe samples"
    )
    rankings: Rankings = Field(
        description="what ranks the heads, the largest first: change of the pattern, pattern, effect of ablation, or "
        "change of the weights"
    )
    draws: int = Field(ge=2, description="number of random orders of the heads")
    sizes: Counts = Field(description="numbers of heads that are trained together; all heads are trained as well")


def whole(experiment: "Experiment") -> list[Run]:
    """Runs of the adaptation study that train all weights, by which heads are chosen."""
    return adaptation.some_runs(experiment, experiment.settings(NAME))


def whole_of(experiment: "Experiment", model: str, seed: int | str) -> list[Run]:
    """The runs of one model and seed, one for each task; model and seed may be wildcards of a rule."""
    return adaptation.of_tasks(whole(experiment), model, seed)


def choices(experiment: "Experiment", run: Run) -> list[Run]:
    """The runs that train heads alone on the samples of a run."""
    settings: Settings = experiment.settings(NAME)
    assert isinstance(run.training_set, TaskSet)
    orders: list[tuple[str, int | None]] = [(name, None) for name in settings.rankings]
    orders += [(RANDOM, draw) for draw in range(settings.draws)]
    chosen = [HeadsSet(run.training_set, *order, k) for order, k in product(orders, sorted(settings.sizes))]
    return [Run(run.model, one, run.seed) for one in (*chosen, HeadsSet(run.training_set, ALL))]


def runs(experiment: "Experiment") -> list[Run]:
    """The runs that train all weights, each with those that train heads alone."""
    return [one for run in whole(experiment) for one in (run, *choices(experiment, run))]


def names(experiment: "Experiment") -> Iterator[str]:
    """Models and tasks that the adaptation study does not offer."""
    return adaptation.not_offered(experiment, NAME, experiment.settings(NAME))


def problems(experiment: "Experiment") -> Iterator[str]:
    """The problems of `transplant`, all heads as a choice of some, and recipes that cannot train single weights."""
    selected = whole(experiment)
    if not selected:
        return
    yield from transplant.problems_of(experiment, NAME, selected)
    for model in dict.fromkeys(run.model for run in selected):
        own = heads(experiment, model)
        if own in experiment.settings(NAME).sizes:
            yield f"studies.{NAME}.sizes has {own}, all heads of models.{model}, which are trained anyway: remove it."
    recipe = experiment.recipe(HEADS)
    group = experiment.settings(adaptation.NAME).group
    if recipe.is_lora:
        yield (
            f"studies.{NAME} trains the weights of heads, but the task group {group} trains adapters (method lora): "
            "set method to full, or leave the study out."
        )
    elif recipe.engine != "pytorch" or recipe.devices > 1:
        yield (
            f"studies.{NAME} holds back the gradients of single weights, which the task group {group} does not allow "
            f"with engine {recipe.engine} and {recipe.devices} devices: set engine to pytorch and devices to 1, or "
            "leave the study out."
        )


def chosen(experiment: "Experiment", model: str, seed: int) -> str:
    """Options of the command that chooses heads: runs that train all weights, and the files for their heads."""
    paths, own = experiment.paths, whole_of(experiment, model, seed)
    files = {
        "output": [paths.trained_heads(run) for run in own],
        "heads_output": [paths.heads(Run(run.model, HeadsSet(_of(run), "{choice}"), run.seed)) for run in own],
    }
    return arguments.options(transplant.ranked(experiment, NAME, own) | files)


def ablations(experiment: "Experiment", model: str, seed: int | str) -> list[str]:
    """The folders of ablations that heads are ranked by; none where they are not."""
    return transplant.ablations_of(experiment, NAME, whole_of(experiment, model, seed))


def _of(run: Run) -> TaskSet:
    assert isinstance(run.training_set, TaskSet)
    return run.training_set


def chosen_files(experiment: "Experiment", model: str, seed: int | str) -> list[str]:
    """All files that the command that chooses heads writes."""
    paths, own = experiment.paths, whole_of(experiment, model, seed)
    alone = [one for run in own for one in choices(experiment, run)]
    return [*map(paths.trained_heads, own), *map(paths.heads, alone)]


def measured(experiment: "Experiment", own: list[Run]) -> str:
    """Options of the command that measures losses: runs that train heads alone, and their samples."""
    paths, settings = experiment.paths, experiment.settings(NAME)
    return arguments.options(
        {
            "run": [paths.checkpoints(run) for run in own],
            "data": [paths.instructions(task_of(run), "probe") for run in own],
            "output": [paths.trained_heads(run) for run in own],
            "samples": settings.samples,
            "seed": experiment.config.sampling.seed,
        }
    )


def task_of(run: Run) -> str:
    """The task of a run that trains heads alone."""
    assert isinstance(run.training_set, HeadsSet)
    return run.training_set.of.task


def tables(experiment: "Experiment") -> dict[str, list[str]]:
    """The losses of the runs that train all weights, and of all choices of heads of each."""
    paths, own = experiment.paths, whole(experiment)
    alone = [one for run in own for one in choices(experiment, run)]
    return {"whole": [*map(paths.trained_heads, own)], "alone": [*map(paths.trained_heads, alone)]}


def named(experiment: "Experiment") -> dict[str, Any]:
    """Model, task and seed of each run that trains all weights; ranking, draw and number of each choice of heads."""
    own = whole(experiment)
    of_run = [one.training_set for one in choices(experiment, own[0])] if own else []
    found = [[one.ranking, one.draw or 0, one.k or 0] for one in of_run if isinstance(one, HeadsSet)]
    return adaptation.named(own) | {"choices": found}
