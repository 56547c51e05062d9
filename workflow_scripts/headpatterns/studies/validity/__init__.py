"""Whether activation patterns say which heads matter: heads are ablated, and the change of the loss is measured."""

from typing import TYPE_CHECKING, Any

from headpatterns.experiment.study import Analysis, Drawing, Study
from headpatterns.studies.descriptions import bootstrap, run_table
from headpatterns.studies.validity import settings

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def folders(experiment: "Experiment") -> dict[str, list[str]]:
    """The folders of the ablations of every run."""
    return {"ablations": [experiment.paths.ablations(run) for run in settings.runs(experiment)]}


def named(experiment: "Experiment") -> dict[str, Any]:
    """The settings of the bootstrap, and the model, task and seed of each folder of ablations."""
    runs = [[run.model, run.task, run.seed] for run in settings.runs(experiment)]
    return {**bootstrap(experiment), "runs": runs}


STUDY = Study(
    name=settings.NAME,
    place=40,
    settings=settings.Settings,
    selected=lambda experiment: bool(settings.runs(experiment)),
    runs=settings.runs,
    names=settings.names,
    problems=settings.problems,
    analyses=(
        Analysis(
            name="validity",
            compute="headpatterns.studies.validity.analysis:compute",
            inputs=folders,
            outputs={
                "correlations": "validity",
                "between": "validity_between",
                "groups": "validity_groups",
                "contrasts": "validity_contrasts",
            },
            settings=named,
        ),
    ),
    drawings=(
        Drawing(
            name="validity",
            draw="headpatterns.studies.validity.figure:figures",
            inputs=run_table(correlations="validity", groups="validity_groups"),
            figures=("figure_validity",),
            in_report=False,
        ),
    ),
    section="headpatterns.studies.validity.section:section",
    targets={"figure_validity": ("validity",)},
)
