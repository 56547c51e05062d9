"""The settings of the transplant study, and its runs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from headpatterns.data import splitting
from headpatterns.experiment import arguments
from headpatterns.experiment.fields import OWN_SEEDS, Counts, Names, Section, Seeds, Selection, unique
from headpatterns.experiment.values import architecture, heads
from headpatterns.models import families
from headpatterns.studies.adaptation import settings as adaptation
from headpatterns.studies.validity import settings as validity

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment
    from headpatterns.experiment.runs import Run

NAME = "transplant"
EFFECT = "effect"
Ranking = Literal["change", "pattern", "effect", "weights"]
Rankings = Annotated[list[Ranking], Field(min_length=1), AfterValidator(unique)]


class Settings(Section):
    """Does fine-tuning live in the heads? Heads of a run put into its base model, and taken back from the run."""

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
    sizes: Counts = Field(description="numbers of heads that are moved together; all heads are moved as well")


def runs(experiment: "Experiment") -> "list[Run]":
    """Runs of the adaptation study whose heads are moved."""
    return adaptation.some_runs(experiment, experiment.settings(NAME))


def runs_of(experiment: "Experiment", model: str, seed: int | str) -> "list[Run]":
    """The runs of one model and seed, one for each task; model and seed may be wildcards of a rule."""
    return adaptation.of_tasks(runs(experiment), model, seed)


def names(experiment: "Experiment") -> Iterator[str]:
    """Models and tasks that the adaptation study does not offer."""
    return adaptation.not_offered(experiment, NAME, experiment.settings(NAME))


def problems(experiment: "Experiment") -> Iterator[str]:
    """Too few samples, more heads than a model has, weights not divided by head, and effects that nothing measures."""
    yield from problems_of(experiment, NAME, runs(experiment))


def problems_of(experiment: "Experiment", study: str, selected: "list[Run]") -> Iterator[str]:
    """The same problems for a study that chooses heads of some runs by rankings."""
    settings = experiment.settings(study)
    for task in dict.fromkeys(run.task for run in selected):
        probe = experiment.config.sampled(task).probe
        if probe is not None and probe < splitting.FEWEST_OF_TWO:
            yield (
                f"studies.{study} needs {splitting.FEWEST_OF_TWO} probe samples of datasets.{task} (two for "
                f"losses, two for rankings), but it has {probe}: raise its sampling.probe to "
                f"{splitting.FEWEST_OF_TWO} or more."
            )
    for model in dict.fromkeys(run.model for run in selected):
        own = heads(experiment, model)
        if own is not None and max(settings.sizes) > own:
            largest = max(settings.sizes)
            yield f"studies.{study}.sizes has {largest}, but models.{model} has {own} heads in all: lower it."
        kind = architecture(experiment, model).get("model_type")
        if kind in families.UNDIVIDED:
            yield (
                f"studies.{study}.models takes '{model}' of the type '{kind}', but it is unknown which of its "
                "weights belong to a head (for example, one matrix for queries, keys and values): leave it out."
            )
    ablated = validity.runs(experiment)
    if EFFECT in settings.rankings and (lacking := [run for run in selected if run not in ablated]):
        yield (
            f"studies.{study}.rankings has {EFFECT}, but studies.{validity.NAME} does not ablate the heads of "
            f"{lacking[0].model} on {lacking[0].task} with seed {lacking[0].seed}: add that there, or remove {EFFECT}."
        )


def measured(experiment: "Experiment", model: str, seed: int) -> str:
    """The runs, the samples that they are measured on, and the heads that are moved."""
    own = runs_of(experiment, model, seed)
    tables = {"output": [experiment.paths.transplants(run) for run in own]}
    return arguments.options(ranked(experiment, NAME, own) | tables)


def ranked(experiment: "Experiment", study: str, own: "list[Run]") -> dict[str, Any]:
    """Options of a command that chooses heads of some runs by rankings: the rankings and the numbers of heads."""
    paths, settings = experiment.paths, experiment.settings(study)
    return {
        "run": [paths.checkpoints(run) for run in own],
        "data": [paths.instructions(run.task, "probe") for run in own],
        "patterns": [paths.patterns(run) for run in own],
        "ablations": ablations_of(experiment, study, own),
        "samples": settings.samples,
        "size": settings.sizes,
        "ranking": settings.rankings,
        "draws": settings.draws,
        "seed": experiment.config.sampling.seed,
    }


def ablations(experiment: "Experiment", model: str, seed: int | str) -> list[str]:
    """The folders of ablations that heads are ranked by; none where they are not."""
    return ablations_of(experiment, NAME, runs_of(experiment, model, seed))


def ablations_of(experiment: "Experiment", study: str, own: "list[Run]") -> list[str]:
    """The same folders for some runs of a study."""
    asked = EFFECT in experiment.settings(study).rankings
    return [experiment.paths.ablations(run) for run in own] if asked else []


def named(experiment: "Experiment") -> dict[str, Any]:
    """The model, task and seed of each table of losses, in their order."""
    return adaptation.named(runs(experiment))
