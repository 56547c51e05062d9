"""The settings of the validity study, and the runs whose heads it ablates."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from headpatterns.data import splitting
from headpatterns.experiment.fields import OWN_SEEDS, Counts, Names, Positive, Section, Seeds, Selection, unique
from headpatterns.experiment.values import heads
from headpatterns.studies.adaptation import settings as adaptation

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment
    from headpatterns.experiment.runs import Run

NAME = "validity"
Ablations = Annotated[list[Literal["zero", "mean", "resample", "scale"]], AfterValidator(unique)]
"""Ways to ablate a head: its output times 0, its mean, that on another sample, or times several factors."""


class Settings(Section):
    """Do patterns say which heads matter? Patterns beside the change of the loss when heads are ablated."""

    models: Names | None = Field(
        description="models of studies.adaptation; null takes all, and an empty list leaves the study out"
    )
    tasks: Selection | None = Field(description="tasks of its group; null takes all")
    seeds: Seeds | None = Field(None, description=OWN_SEEDS)
    samples: int = Field(ge=2, description="probe samples on which heads are ablated, and as many others for patterns")
    draws: Positive = Field(description="number of random groups of heads for each size")
    top: Counts = Field(description="sizes of groups of heads that are ablated together")
    ablations: Ablations = Field(["zero"], description="how each head is ablated; must include zero")
    resample_draws: Positive = Field(
        2, description="number of other samples whose outputs replace a sample's own in the ablation `resample`"
    )


def runs(experiment: "Experiment") -> "list[Run]":
    """Runs of the adaptation study whose heads are ablated, before and after."""
    return adaptation.some_runs(experiment, experiment.settings(NAME))


def names(experiment: "Experiment") -> Iterator[str]:
    """Models and tasks that the adaptation study does not offer."""
    return adaptation.not_offered(experiment, NAME, experiment.settings(NAME))


def problems(experiment: "Experiment") -> Iterator[str]:
    """Probe sets too small to be halved, and more heads than a model has, if their number is known."""
    selected = runs(experiment)
    yield from unfit(experiment, {run.model: None for run in selected}, {run.task: None for run in selected})


def unfit(experiment: "Experiment", models: Iterable[str], tasks: Iterable[str]) -> Iterator[str]:
    """The same problems for some models and probe sets."""
    settings: Settings = experiment.settings(NAME)
    config, fewest = experiment.config, splitting.FEWEST_OF_TWO
    if "zero" not in settings.ablations:
        yield f"studies.{NAME}.ablations lacks zero, and all others are compared with it: add zero."
    if "resample" in settings.ablations and settings.resample_draws >= settings.samples:
        yield (
            f"studies.{NAME}.resample_draws is {settings.resample_draws}, but samples is {settings.samples}, so "
            f"each sample has {settings.samples - 1} others: lower resample_draws, or raise samples."
        )
    for task in tasks:
        probe = config.sampled(task).probe
        if probe is not None and probe < fewest:
            own = "probe" in config.datasets[task].sampling.model_fields_set
            where = f"datasets.{task}.sampling" if own else "sampling"
            yield (
                f"{where}.probe is {probe}, but studies.{NAME} needs two for patterns and two for losses: raise "
                f"it to {fewest} or more."
            )
    largest = max(settings.top)
    for model in models:
        own_heads = heads(experiment, model)
        if own_heads is not None and largest > own_heads:
            yield f"studies.{NAME}.top has {largest}, but models.{model} has {own_heads} heads in all: lower it."


def ablation(experiment: "Experiment") -> dict[str, Any]:
    """The part of the probe sets that is used, and the heads that are ablated together."""
    settings: Settings = experiment.settings(NAME)
    further = {"ablations": settings.ablations, "resample_draws": settings.resample_draws}
    return {"samples": settings.samples, "draws": settings.draws, "top": settings.top,
            "seed": experiment.config.sampling.seed, **(further if len(settings.ablations) > 1 else {})}  # fmt: skip
