"""Effects of each stage of post-training on the heads of a model: chains of checkpoints that were trained elsewhere."""

from typing import TYPE_CHECKING, Any

from headpatterns.experiment.study import Analysis, Drawing, Study
from headpatterns.studies.checkpoints import settings
from headpatterns.studies.descriptions import bootstrap, resampled, run_table

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def chains(experiment: "Experiment") -> dict[str, Any]:
    """The settings of the bootstrap, how patterns are read, and the chains."""
    return {**resampled(experiment), "chains": settings.described(experiment)}


def folders(experiment: "Experiment") -> list[str]:
    """The folders of the patterns of every stage on every probe set."""
    found = settings.runs(experiment)
    return [experiment.paths.patterns(run, task) for run in found for task in run.training_set.probe_sets]


def ablations(experiment: "Experiment") -> dict[str, list[str]]:
    """The folders of the ablations of each chain on each probe set."""
    found = settings.last_runs(experiment).values()
    return {
        "ablations": [experiment.paths.ablations(run, task) for run in found for task in run.training_set.probe_sets]
    }


def ablated(experiment: "Experiment") -> dict[str, Any]:
    """The settings of the bootstrap, and the chain, probe set and seed of each folder of ablations."""
    found = settings.last_runs(experiment)
    runs = [[chain, task, 0] for chain, run in found.items() for task in run.training_set.probe_sets]
    return {**bootstrap(experiment), "runs": runs}


STUDY = Study(
    name=settings.NAME,
    place=45,
    settings=settings.Settings,
    selected=settings.selected,
    runs=settings.runs,
    names=settings.names,
    problems=settings.problems,
    reads_patterns=True,
    analyses=(
        Analysis(
            name="checkpoints",
            compute="headpatterns.studies.checkpoints.analysis:compute",
            inputs=run_table(),
            outputs={
                "stages": "checkpoints_stages",
                "statistics": "checkpoints",
                "heads": "checkpoints_patterns",
                "layers": "checkpoints_layers",
                "similarity": "checkpoints_similarity",
            },
            settings=chains,
            needs=folders,
        ),
        Analysis(
            name="checkpoints_validity",
            compute="headpatterns.studies.validity.analysis:compute",
            inputs=ablations,
            outputs={
                "correlations": "checkpoints_validity",
                "between": "checkpoints_validity_between",
                "groups": "checkpoints_validity_groups",
                "contrasts": "checkpoints_validity_contrasts",
            },
            settings=ablated,
        ),
    ),
    drawings=(
        Drawing(
            name="checkpoints",
            draw="headpatterns.studies.checkpoints.figure:figures",
            inputs=run_table(
                stages="checkpoints_stages",
                statistics="checkpoints",
                heads="checkpoints_patterns",
                layers="checkpoints_layers",
                similarity="checkpoints_similarity",
            ),
            figures=("checkpoints_stages", "checkpoints_heads", "checkpoints_layers", "checkpoints_similarity"),
            in_report=False,
        ),
    ),
    section="headpatterns.studies.checkpoints.section:section",
    targets={"checkpoints": ("checkpoints",)},
)
