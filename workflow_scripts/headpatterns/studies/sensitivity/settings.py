"""The settings of the sensitivity study, and the effects that its analysis measures repeatedly."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field

from headpatterns.claims import registry
from headpatterns.experiment import arguments
from headpatterns.experiment.fields import Names, Section
from headpatterns.experiment.references import unknown_in
from headpatterns.experiment.study import Effects
from headpatterns.studies.descriptions import reading

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment

NAME = "sensitivity"


class Settings(Section):
    """Verdicts of the claims about patterns under every way to read them."""

    models: Names | None = Field(
        description="models whose verdicts are shown; null takes all, and an empty list leaves the study out"
    )
    resamples: int = Field(ge=10, description="bootstrap resamples for each way to read patterns")


def selected(experiment: "Experiment") -> bool:
    """Whether the config asks for the study, and something is measured on patterns."""
    settings: Settings = experiment.settings(NAME)
    return settings.models != [] and bool(effects(experiment))


def effects(experiment: "Experiment") -> list[Effects]:
    """The effects that other studies measure on patterns."""
    others = [study for study in experiment.studies if study.name != NAME and study.selected(experiment)]
    return [one for study in others for one in study.effects if one.read]


def needed(experiment: "Experiment") -> list[str]:
    """All inputs of these effects, and the claims about them."""
    found = registry.files()
    for one in effects(experiment):
        found += one.needs(experiment)
        for paths in one.inputs(experiment).values():
            found += [paths] if isinstance(paths, str) else paths
    return list(dict.fromkeys(found))


def readings(experiment: "Experiment") -> dict[str, Any]:
    """The measured effects, the usual way to read patterns, and the available reductions."""
    settings: Settings = experiment.settings(NAME)
    usual = reading(experiment)
    config = experiment.config
    return {
        "effects": [
            {"name": one.name, "inputs": dict(one.inputs(experiment)), "settings": one.settings(experiment)}
            for one in effects(experiment)
        ],
        "usual": usual,
        "reductions": list(dict.fromkeys([usual["reduction"], *config.patterns.also])),
        "models": settings.models,
        "stands_for": arguments.stands_for(experiment),
        "resamples": settings.resamples,
    }


def names(experiment: "Experiment") -> Iterator[str]:
    """Names that the config does not define."""
    settings: Settings = experiment.settings(NAME)
    yield from unknown_in(f"studies.{NAME}.models", "model", settings.models or [], experiment.config.models)
