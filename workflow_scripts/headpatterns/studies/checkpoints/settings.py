"""The settings of the study of checkpoints: chains of models, each stage trained from the base elsewhere."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import Field

from headpatterns.experiment.fields import Name, Names, Section, Stages, Text
from headpatterns.experiment.needed import elsewhere
from headpatterns.experiment.references import unknown, unknown_in
from headpatterns.studies.validity import settings as validity

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment
    from headpatterns.experiment.runs import Run

NAME = "checkpoints"


class Chain(Section):
    """A base model, and what others have made of it step by step."""

    label: Text = Field(description="its name in figures and tables")
    models: Stages = Field(description="one name from `models`, then names from `finetuned` in the order of training")


class Settings(Section):
    """What did each stage of post-training do to the heads? Chains of checkpoints that were trained elsewhere."""

    chains: dict[Name, Chain] = Field(description="chains, by name; without chains, the study is left out")
    tasks: Names = Field(description="datasets whose probe sets are used for the patterns")
    validity: bool = Field(
        description="whether heads of the base and of the last stage are ablated, as `validity` says"
    )


def selected(experiment: "Experiment") -> bool:
    """Whether the config asks for the study."""
    settings: Settings = experiment.settings(NAME)
    return bool(settings.chains)


def runs(experiment: "Experiment") -> "list[Run]":
    """The runs of all chains, each once."""
    settings: Settings = experiment.settings(NAME)
    names = dict.fromkeys(name for chain in settings.chains.values() for name in chain.models[1:])
    return [elsewhere(experiment.config, name) for name in names]


def ablated(experiment: "Experiment") -> "list[Run]":
    """Every run whose heads are ablated before and after it: runs of `validity`, and the last run of each chain."""
    return list(dict.fromkeys([*validity.runs(experiment), *last_runs(experiment).values()]))


def last_runs(experiment: "Experiment") -> "dict[str, Run]":
    """The last run of each chain whose heads are ablated; empty without `validity`."""
    settings: Settings = experiment.settings(NAME)
    chains = settings.chains if settings.validity else {}
    return {name: elsewhere(experiment.config, chain.models[-1]) for name, chain in chains.items()}


def described(experiment: "Experiment") -> dict[str, Any]:
    """Label and stages of each chain: names in the run table, and labels."""
    config, settings = experiment.config, experiment.settings(NAME)
    return {
        name: {
            "label": chain.label,
            "base": [chain.models[0], config.models[chain.models[0]].label],
            "stages": [[elsewhere(config, one).name, config.finetuned[one].label] for one in chain.models[1:]],
        }
        for name, chain in settings.chains.items()
    }


def names(experiment: "Experiment") -> Iterator[str]:
    """Names that the config does not define, and stages that were trained from another base."""
    settings: Settings = experiment.settings(NAME)
    config, path = experiment.config, f"studies.{NAME}"
    yield from unknown_in(f"{path}.tasks", "dataset", settings.tasks, config.datasets)
    if settings.chains and not settings.tasks:
        yield f"{path}.tasks is empty, but there are chains: name the datasets whose probe sets the models read."
    for name, chain in settings.chains.items():
        base, *stages = chain.models
        where = f"{path}.chains.{name}.models"
        yield from unknown(f"{where}[0]", "model", base, config.models)
        for place, stage in enumerate(stages, start=1):
            yield from unknown(f"{where}[{place}]", "run below finetuned", stage, config.finetuned)
            own = config.finetuned[stage].base if stage in config.finetuned else base
            if own != base:
                yield (
                    f"{where}[{place}] is '{stage}', which has the base {own} and not {base}: use runs of one "
                    "base in a chain."
                )


def problems(experiment: "Experiment") -> Iterator[str]:
    """Problems that prevent the ablation of heads."""
    found = last_runs(experiment).values()
    tasks = experiment.settings(NAME).tasks if found else []
    yield from validity.unfit(experiment, {run.model: None for run in found}, tasks)
