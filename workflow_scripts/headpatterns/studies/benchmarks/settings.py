"""The settings of the benchmarks: further checkpoints on evaluation sets."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from headpatterns.experiment import runs as kinds
from headpatterns.experiment.fields import RUN_PATTERN, Names, Section
from headpatterns.experiment.needed import base_name, run_written
from headpatterns.experiment.references import names_of_run, unknown, unknown_in
from headpatterns.experiment.runs import Run
from headpatterns.experiment.tables import variant_row

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment

NAME = "benchmarks"


class Checkpoint(Section):
    """A model before any run, or after one."""

    model: str = Field(description="name of a model")
    run: Annotated[str, StringConstraints(pattern=rf"^(base(\.seed[0-9]+)?|{RUN_PATTERN})$")] = Field(
        description="base (of the first seed; base.seedN for another), or a run: GROUP.TASK.seedN or finetuned.NAME"
    )


def _once(checkpoints: list[Checkpoint]) -> list[Checkpoint]:
    for place, one in enumerate(checkpoints):
        if one in checkpoints[:place]:
            raise PydanticCustomError("repeated", "names {run} of {model} twice: name it once.", one.model_dump())
    return checkpoints


class Settings(Section):
    """Further scores: checkpoints on evaluation sets."""

    checkpoints: Annotated[list[Checkpoint], AfterValidator(_once)] = Field(
        description="checkpoints to evaluate: models before or after a run"
    )
    sets: Names = Field(description="evaluation sets, from `evaluation.sets` or from section 5")


def _others(experiment: "Experiment") -> dict[tuple[str, str], Run]:
    """Runs of the other studies, by model and name."""
    return {(run.model, run.name): run
            for study in experiment.studies if study.name != NAME for run in study.runs(experiment)}  # fmt: skip


def is_base(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint is a model before any run."""
    return checkpoint.run.split(".")[0] == kinds.BASE


def base_of(experiment: "Experiment", checkpoint: Checkpoint) -> str:
    """The name of the base model that a checkpoint means: plain `base` is that of the first seed."""
    first = base_name(experiment.config, checkpoint.model, experiment.config.seeds[0])
    return first if checkpoint.run == kinds.BASE else checkpoint.run


def run_of(experiment: "Experiment", checkpoint: Checkpoint) -> Run | None:
    """The run of a checkpoint, from another study or a task group; None for the model before any run."""
    if is_base(checkpoint):
        return None
    if known := _others(experiment).get((checkpoint.model, checkpoint.run)):
        return known
    return run_written(experiment.config, checkpoint.model, checkpoint.run)


def runs(experiment: "Experiment") -> list[Run]:
    """The runs of all checkpoints."""
    found = [run_of(experiment, checkpoint) for checkpoint in experiment.settings(NAME).checkpoints]
    return [run for run in found if run]


def variants(experiment: "Experiment") -> list[dict[str, Any]]:
    """Every checkpoint on every set."""
    settings: Settings = experiment.settings(NAME)
    rows = []
    for checkpoint in settings.checkpoints:
        run = run_of(experiment, checkpoint)
        base = base_of(experiment, checkpoint)
        seed = run.seed if run else experiment.bases[checkpoint.model, base]
        rows += [variant_row(experiment, NAME, checkpoint.model, seed, "", run or base, name)
                 for name in settings.sets]  # fmt: skip
    return rows


def names(experiment: "Experiment") -> Iterator[str]:
    """Names that the config does not define, and sets without checkpoints or the reverse."""
    settings: Settings = experiment.settings(NAME)
    config, path = experiment.config, f"studies.{NAME}"
    yield from unknown_in(f"{path}.sets", "evaluation set", settings.sets, experiment.evaluation_sets)
    if bool(settings.sets) != bool(settings.checkpoints):
        yield f"{path} has only sets or only checkpoints, so nothing would be evaluated: name both."
    if any(list(study.names(experiment)) for study in experiment.studies if study.name != NAME):
        return  # their runs are not known
    for place, checkpoint in enumerate(settings.checkpoints):
        where = f"{path}.checkpoints[{place}]"
        yield from unknown(f"{where}.model", "model", checkpoint.model, config.models)
        if is_base(checkpoint):
            yield from _bases(experiment, where, checkpoint)
            continue
        if checkpoint.run.split(".")[0] in (kinds.MIXING, kinds.SELECTION):
            known = [kinds.BASE, *sorted(name for model, name in _others(experiment) if model == checkpoint.model)]
            yield from unknown(f"{where}.run", "run of this model", checkpoint.run, known)
        else:
            yield from names_of_run(config, f"{where}.run", checkpoint.model, checkpoint.run)


def _bases(experiment: "Experiment", where: str, checkpoint: Checkpoint) -> Iterator[str]:
    """A base model of a seed that does not exist, or one that is named in both ways."""
    own = [run for model, run in experiment.bases if model == checkpoint.model]
    if own and checkpoint.run != kinds.BASE:
        yield from unknown(f"{where}.run", "base of this model", checkpoint.run, own)
        plain = checkpoint.model_copy(update={"run": kinds.BASE})
        if plain in experiment.settings(NAME).checkpoints and base_of(experiment, plain) == checkpoint.run:
            yield (
                f"{where}.run is '{checkpoint.run}', but the base model of the first seed is listed already as "
                "base: remove it."
            )
