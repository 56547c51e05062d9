"""The settings of the mixing study, its runs, and its evaluations."""

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from headpatterns.experiment import runs as kinds
from headpatterns.experiment.fields import (
    OWN_SEEDS,
    UNSTATED,
    Names,
    Natural,
    Positive,
    Section,
    Seeds,
    Selection,
    unique,
)
from headpatterns.experiment.needed import ItemSet, base_name
from headpatterns.experiment.recipes import OwnRecipe
from headpatterns.experiment.references import below_one_step, unknown, unknown_in
from headpatterns.experiment.runs import TRAINING, AfterMixture, MixtureSet, Run, TargetSet
from headpatterns.experiment.tables import variant_row
from headpatterns.studies.mixing.grid import points

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment

NAME = kinds.MIXING


Further = Annotated[list[Literal["uniform", "size-proportional"]], AfterValidator(unique)]


class Settings(Section):
    """A mixture of basic tasks that prepares for a target (Eq. 3, 4): Table 2."""

    models: Names = Field(description="models, in display order; an empty list leaves the study out")
    target: str = Field(description="dataset whose training rows are D_T and whose probe rows are the test items")
    group: str = Field(description="task group whose basic tasks are candidates")
    also: Names = Field(description="further datasets that are candidates")
    keep: Positive = Field(description="number of tasks to keep: those with the largest positive coefficients")
    expected_pair: list[str] = Field(
        UNSTATED, min_length=2, max_length=2, description="the two tasks that the paper keeps"
    )
    parts: Selection | None = Field(
        None, description="the candidates that the target is really made of; null if unknown"
    )
    instructions: Positive = Field(description="number of samples in a mixture (N in Eq. 4)")
    random_draws: Positive = Field(description="number of mixtures of the same tasks in random proportions")
    further: Further = Field(
        [], description="mixtures of all candidates: in equal shares, or in proportion to their rows"
    )
    grid: Natural = Field(
        0,
        description="number of steps in a grid of shares of the kept tasks, whose best mixture is shown; 0 for no grid",
    )
    seeds: Seeds | None = Field(None, description=OWN_SEEDS)
    finetuning: OwnRecipe = Field(description="keys of `finetuning` that differ for its runs")


def selected(experiment: "Experiment") -> bool:
    """Whether the config asks for the study."""
    return bool(experiment.settings(NAME).models)


def candidates(experiment: "Experiment") -> list[str]:
    """Candidate basic tasks for the target's change: the tasks of the group, and the tasks named in `also`."""
    settings: Settings = experiment.settings(NAME)
    group = experiment.config.task_groups[settings.group]
    return [task for task in [*group.tasks, *settings.also] if task != group.complex]


def candidate_runs(experiment: "Experiment", model: str, seed: int) -> list[Run]:
    """The candidates' runs, with at most as many samples as those of the group, so that other studies share them.

    A candidate that `also` names may have fewer rows than the group's runs take. It then has fewer samples and steps.
    """
    return [kinds.of_task(model, experiment.settings(NAME).group, task, seed) for task in candidates(experiment)]


def mixtures(experiment: "Experiment") -> list[MixtureSet]:
    """The mixtures: ours, random ones, those of other methods, and the oracle where the target's parts are known."""
    settings: Settings = experiment.settings(NAME)
    tasks, size = tuple(candidates(experiment)), settings.instructions
    oracle = [MixtureSet("oracle", None, tuple(settings.parts), size)] if settings.parts else []
    drawn = [MixtureSet("random", draw, tasks, size) for draw in range(settings.random_draws)]
    others = [MixtureSet(variant, None, tasks, size) for variant in settings.further]
    others += [MixtureSet("grid", place, tasks, size) for place, _ in enumerate(points(settings.grid, settings.keep))]
    return [MixtureSet("ours", None, tasks, size), *drawn, *others, *oracle]


def target_run(experiment: "Experiment", model: str, seed: int) -> Run:
    """The run on D_T alone."""
    return Run(model, TargetSet(experiment.settings(NAME).target), seed)


def prepared_run(experiment: "Experiment", model: str, mixture: MixtureSet, seed: int) -> Run:
    """The run on D_T of a model that was trained on a mixture before."""
    return Run(model, AfterMixture(mixture, TargetSet(experiment.settings(NAME).target)), seed)


def fitted(experiment: "Experiment", model: str, seed: int) -> list[Run]:
    """The runs whose patterns make the mixtures of a model and seed."""
    return [*candidate_runs(experiment, model, seed), target_run(experiment, model, seed)]


def first(experiment: "Experiment") -> list[Run]:
    """The runs that must finish before the mixtures are made."""
    makers = product(experiment.settings(NAME).models, experiment.seeds(NAME))
    return [run for model, seed in makers for run in fitted(experiment, model, seed)]


def runs(experiment: "Experiment") -> list[Run]:
    """Every run of the study; a run comes after the runs that it depends on."""
    found = []
    for seed in experiment.seeds(NAME):
        for model in experiment.settings(NAME).models:
            found += fitted(experiment, model, seed)
            for mixture in mixtures(experiment):
                found += [Run(model, mixture, seed), prepared_run(experiment, model, mixture, seed)]
    return found


def variants(experiment: "Experiment") -> list[dict[str, Any]]:
    """The base model, D_T alone, and D_T after each mixture, on the target's test items."""
    settings: Settings = experiment.settings(NAME)
    rows = []
    for model in settings.models:
        for seed in experiment.seeds(NAME):
            chosen: list[tuple[str, int | None, Run | str]] = [
                ("base", None, base_name(experiment.config, model, seed)),
                ("sft", None, target_run(experiment, model, seed)),
                *((mixture.variant, mixture.draw, prepared_run(experiment, model, mixture, seed))
                  for mixture in mixtures(experiment)),
            ]  # fmt: skip
            rows += [variant_row(experiment, NAME, model, seed, variant, run, settings.target, draw=draw)
                     for variant, draw, run in chosen]  # fmt: skip
    return rows


def evaluation_sets(experiment: "Experiment") -> dict[str, ItemSet]:
    """The target's test items."""
    target = experiment.settings(NAME).target
    return {target: ItemSet(dataset=target)} if selected(experiment) else {}


def names(experiment: "Experiment") -> Iterator[str]:
    """Names that the config does not define, or that are given twice."""
    settings: Settings = experiment.settings(NAME)
    config, path = experiment.config, f"studies.{NAME}"
    yield from unknown_in(f"{path}.models", "model", settings.models, config.models)
    yield from unknown(f"{path}.group", "task group", settings.group, config.task_groups)
    yield from unknown_in(f"{path}.also", "dataset", settings.also, config.datasets)
    yield from unknown(f"{path}.target", "dataset", settings.target, config.datasets)
    yield from unknown_in(f"{path}.expected_pair", "dataset", settings.expected_pair or [], config.datasets)
    if settings.group not in config.task_groups:
        return
    for task in settings.also:
        if task in config.task_groups[settings.group].tasks:
            yield f"{path}.also names '{task}', which is a task of the group '{settings.group}' already: remove it."
    if settings.target in candidates(experiment):
        yield f"{path}.target is '{settings.target}', which is a candidate as well: name another target."
    if selected(experiment):
        yield from unknown_in(f"{path}.parts", "candidate", settings.parts or [], candidates(experiment))
    if selected(experiment) and settings.target in config.evaluation.sets:
        yield f"evaluation.sets.{settings.target} has the name of a set of section 5: choose another name."


def problems(experiment: "Experiment") -> Iterator[str]:
    """A mixture that is smaller than a step."""
    settings: Settings = experiment.settings(NAME)
    if selected(experiment):
        yield from below_one_step(f"studies.{NAME}.instructions", settings.instructions, experiment.recipe(NAME))


def arguments(experiment: "Experiment") -> dict[str, Any]:
    """The arguments for making mixtures; the bootstrap has its own seed, separate from the training seed."""
    settings: Settings = experiment.settings(NAME)
    analysis = experiment.config.analysis
    return {"instructions": settings.instructions, "keep": settings.keep, "random_draws": settings.random_draws,
            "parts": settings.parts, "further": settings.further, "grid": settings.grid or None,
            "resamples": analysis.resamples, "bootstrap_seed": analysis.seed}  # fmt: skip


def fits(experiment: "Experiment") -> list[dict[str, Any]]:
    """The inputs of each fit: model, seed, pattern folder of the target, and those of the candidates by task."""
    paths = experiment.paths
    return [
        {
            "model": model,
            "seed": seed,
            "target": paths.patterns(target_run(experiment, model, seed), TRAINING),
            "candidates": {run.task: paths.patterns(run) for run in candidate_runs(experiment, model, seed)},
        }
        for model in experiment.settings(NAME).models
        for seed in experiment.seeds(NAME)
    ]


def expected_pair(experiment: "Experiment") -> list[str]:
    """The pair of tasks that the paper keeps, if both are candidates and two tasks are kept; else nothing."""
    settings: Settings = experiment.settings(NAME)
    pair = settings.expected_pair or []
    return pair if settings.keep == 2 and set(pair) <= set(candidates(experiment)) else []
