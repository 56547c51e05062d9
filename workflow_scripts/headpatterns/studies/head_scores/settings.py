"""The settings of the benchmark of head scores, and its runs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field

from headpatterns.attribution import scores as registry
from headpatterns.experiment.fields import Names, Positive, Section
from headpatterns.experiment.needed import base_model
from headpatterns.experiment.references import unknown_in
from headpatterns.experiment.values import architecture, heads
from headpatterns.models.families import BY_THEMSELVES
from headpatterns.studies.adaptation import settings as adaptation
from headpatterns.studies.validity import settings as validity

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment
    from headpatterns.experiment.runs import Run

NAME = "head_scores"


class Settings(Section):
    """Which number says best which heads matter? Every score of heads against every ablation."""

    models: Names | None = Field(
        description="models of studies.validity; null takes all, and an empty list leaves the study out"
    )
    scores: Names | None = Field(None, description="names of head scores; null takes all")
    top: Positive = Field(8, description="k of the top-k recall: how many heads count as important")
    splits: Positive = Field(
        100, description="number of random splits of the samples into halves, for the noise ceiling"
    )


def runs(experiment: "Experiment") -> "list[Run]":
    """Runs of the validity study whose heads are scored, before and after."""
    models = experiment.settings(NAME).models
    return [run for run in validity.runs(experiment) if models is None or run.model in models]


def _of_layers(scores: list[str]) -> list[str]:
    """The scores that are computed within layers."""
    return [name for name, score in registry.found(scores).items() if score.of_layer]


def asked(experiment: "Experiment", model: str) -> dict[str, Any]:
    """The scores to compute when the heads of a model are ablated; empty for a model that only a chain ablates."""
    settings: Settings = experiment.settings(NAME)
    taken = any(run.model == model for run in runs(experiment))
    return {"scores": (settings.scores or registry.names()) if taken else []}


def names(experiment: "Experiment") -> Iterator[str]:
    """Models that the validity study does not offer, and scores that do not exist."""
    settings: Settings = experiment.settings(NAME)
    own: validity.Settings = experiment.settings(validity.NAME)
    offered = experiment.settings(adaptation.NAME).models if own.models is None else own.models
    yield from unknown_in(f"studies.{NAME}.models", f"model of studies.{validity.NAME}", settings.models or [], offered)
    yield from unknown_in(f"studies.{NAME}.scores", "score", settings.scores or [], registry.names())


def problems(experiment: "Experiment") -> Iterator[str]:
    """Recall over as many heads as a model has, and models whose layers scores cannot read, if these are known."""
    settings: Settings = experiment.settings(NAME)
    for model in dict.fromkeys(run.model for run in runs(experiment)):
        kind = architecture(experiment, base_model(experiment.config, model)).get("model_type")
        if kind in BY_THEMSELVES and (seen := _of_layers(asked(experiment, model)["scores"])):
            yield (
                f"models.{model} has the type '{kind}', whose layers compute their attention by themselves. The scores "
                f"{', '.join(seen)} cannot read it there: leave the model out of studies.{NAME}.models, or these "
                f"scores out of studies.{NAME}.scores."
            )
        own = heads(experiment, model)
        if own is not None and settings.top >= own:
            yield (
                f"studies.{NAME}.top is {settings.top}, but models.{model} has {own} heads in all, and some must "
                "be left: lower it."
            )
