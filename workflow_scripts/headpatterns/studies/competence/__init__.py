"""The competence of the models: their answers to the tasks of section 4, before and after fine-tuning on each."""

from typing import TYPE_CHECKING, Any

from headpatterns.experiment.study import Analysis, Drawing, Paths, Study, Tabulation, View
from headpatterns.studies.competence import settings
from headpatterns.studies.descriptions import answers, bootstrap, run_table

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def evaluations(experiment: "Experiment") -> Paths:
    """The variants, all evaluated answers, the rows of the tasks, and the decreases of losses."""
    return {
        **answers(settings.NAME)(experiment),
        "rows": [experiment.paths.instructions(task, "probe") for task in settings.sets(experiment)],
        "effects": experiment.paths.effects("adaptation"),
    }


def sets(experiment: "Experiment") -> dict[str, Any]:
    """The settings of the bootstrap, and the evaluation set of each task."""
    return {**bootstrap(experiment), "sets": settings.sets(experiment)}


STUDY = Study(
    name=settings.NAME,
    place=5,
    settings=settings.Settings,
    selected=settings.selected,
    names=settings.names,
    variants=settings.variants,
    evaluation_sets=settings.evaluation_sets,
    analyses=(
        Analysis(
            name="competence",
            compute="headpatterns.studies.competence.analysis:compute",
            inputs=evaluations,
            outputs={"competence": "competence"},
            settings=sets,
        ),
    ),
    drawings=(
        Drawing(
            name="figure_competence",
            draw="headpatterns.studies.competence.figure:figures",
            inputs=run_table(competence="competence"),
            figures=("figure_competence",),
            in_report=False,
        ),
    ),
    tables=(
        Tabulation(
            name="competence",
            tabulate="headpatterns.studies.competence.table:tabulate",
            inputs=run_table(competence="competence"),
        ),
    ),
    section="headpatterns.studies.competence.section:section",
    views=(
        View(
            name="competence",
            show="headpatterns.studies.competence.view:show",
            inputs=run_table(competence="competence"),
        ),
    ),
    targets={"competence": ("competence", "figure_competence")},
)
