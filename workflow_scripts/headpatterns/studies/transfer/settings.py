"""The settings of the transfer study, its runs, and the datasets that are the same rows in two forms."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field

from headpatterns.experiment import arguments
from headpatterns.experiment.fields import OWN_SEEDS, Names, Section, Seeds, Selection
from headpatterns.experiment.references import unknown
from headpatterns.studies.adaptation import settings as adaptation

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment
    from headpatterns.experiment.runs import Run

NAME = "transfer"
FEWEST = 3
"""Tasks of which relations between tasks can be correlated."""

FEWEST_PAIRS, MOST_PAIRS = 2, 7
"""Pairs of variants by which rows and form can be told apart, and of which every permutation can be looked at."""


class Settings(Section):
    """Does similarity predict transfer? Every fine-tuned model on every task, beside the similarities of Figure 2."""

    models: Names | None = Field(
        description="models of studies.adaptation; null takes all, and an empty list leaves the study out"
    )
    tasks: Selection | None = Field(description="tasks of its group, three or more; null takes all")
    seeds: Seeds | None = Field(None, description=OWN_SEEDS)
    variants: dict[str, str] = Field(
        description="pairs of tasks that are the same rows in two forms of response; {} for none"
    )


def runs(experiment: "Experiment") -> "list[Run]":
    """Runs of the adaptation study whose models are taken to every task."""
    return adaptation.some_runs(experiment, experiment.settings(NAME))


def runs_of(experiment: "Experiment", model: str, seed: int | str) -> "list[Run]":
    """Those of one model and seed, which may be wildcards of a rule: one for each task."""
    return adaptation.of_tasks(runs(experiment), model, seed)


def tasks(experiment: "Experiment") -> list[str]:
    """The tasks that every model is taken to, in display order."""
    return list(dict.fromkeys(run.task for run in runs(experiment)))


def names(experiment: "Experiment") -> Iterator[str]:
    """What the adaptation study does not offer, and variants that are no tasks of this study."""
    settings: Settings = experiment.settings(NAME)
    yield from adaptation.not_offered(experiment, NAME, settings)
    known = tasks(experiment)
    if known:
        for one, other in settings.variants.items():
            for name in (one, other):
                yield from unknown(f"studies.{NAME}.variants", "task of the study", name, known)


def problems(experiment: "Experiment") -> Iterator[str]:
    """Too few tasks to compare, and variants that are not the same rows in two forms."""
    settings: Settings = experiment.settings(NAME)
    count = len(tasks(experiment))
    if 0 < count < FEWEST:
        yield f"studies.{NAME}.tasks has {count}, but relations between tasks need {FEWEST} or more: add tasks."
    if count:
        yield from _variants(experiment, settings.variants)


def _variants(experiment: "Experiment", variants: dict[str, str]) -> Iterator[str]:
    path, config = f"studies.{NAME}.variants", experiment.config
    if variants and not FEWEST_PAIRS <= len(variants) <= MOST_PAIRS:
        yield (
            f"{path} has {len(variants)}, but telling rows and form apart needs {FEWEST_PAIRS} to {MOST_PAIRS} "
            "pairs of tasks: add or remove some, or write {} to leave it out."
        )
    named = [*variants, *variants.values()]
    if repeated := next((name for name in named if named.count(name) > 1), None):
        yield f"{path} names '{repeated}' twice: name each dataset once, because it is one form of one set of rows."
    for one, other in variants.items():
        first, second = (config.datasets[name] for name in (one, other))
        same = ("adapter", "train", "probe")
        if different := next((key for key in same if getattr(first, key) != getattr(second, key)), None):
            yield f"{path}.{one} is '{other}', which differs in {different}: give the same rows with the same adapter."
        elif first.options == second.options:
            yield f"{path}.{one} is '{other}', which has the same options: give it another form of response."


def measured(experiment: "Experiment", model: str, seed: int) -> str:
    """Run and table, as many of each, and the rows of every task."""
    paths, own = experiment.paths, runs_of(experiment, model, seed)
    rows = {task: paths.instructions(task, "probe") for task in tasks(experiment)}
    files = {"run": [paths.checkpoints(run) for run in own], "output": [paths.transfer(run) for run in own]}
    return " ".join([arguments.options(files), arguments.by_name("task", rows)])


def named(experiment: "Experiment") -> dict[str, Any]:
    """The model, task and seed of each table of losses, in their order."""
    return adaptation.named(runs(experiment))
