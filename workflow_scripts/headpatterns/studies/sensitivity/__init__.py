"""How the verdicts on patterns depend on choices that the paper leaves open: how patterns are read."""

from typing import TYPE_CHECKING

from headpatterns.experiment.study import Analysis, Drawing, Paths, Study
from headpatterns.studies.descriptions import run_table
from headpatterns.studies.sensitivity import settings

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def assessed(experiment: "Experiment") -> Paths:
    """The models' competence on their tasks."""
    return {"competence": experiment.paths.analysis("competence")}


STUDY = Study(
    name=settings.NAME,
    place=80,
    settings=settings.Settings,
    selected=settings.selected,
    names=settings.names,
    analyses=(
        Analysis(
            name="sensitivity",
            compute="headpatterns.studies.sensitivity.analysis:compute",
            inputs=assessed,
            outputs={"verdicts": "sensitivity", "summary": "sensitivity_summary"},
            settings=settings.readings,
            needs=settings.needed,
            reads_every_reduction=True,
        ),
    ),
    drawings=(
        Drawing(
            name="sensitivity",
            draw="headpatterns.studies.sensitivity.figure:figures",
            inputs=run_table(sensitivity="sensitivity", summary="sensitivity_summary"),
            figures=("figure_sensitivity",),
        ),
    ),
    targets={"figure_sensitivity": ("sensitivity",)},
)
