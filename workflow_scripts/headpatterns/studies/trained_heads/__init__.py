"""Whether some heads suffice: only their weights are trained, as whole models are in the adaptation study."""

from typing import TYPE_CHECKING, Any

from headpatterns.experiment.study import Analysis, Drawing, Effects, Study
from headpatterns.studies.descriptions import bootstrap, run_table
from headpatterns.studies.trained_heads import settings

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def named(experiment: "Experiment") -> dict[str, Any]:
    """The settings of the bootstrap, and the run of each table of losses."""
    return {**bootstrap(experiment), **settings.named(experiment)}


STUDY = Study(
    name=settings.NAME,
    place=46,
    settings=settings.Settings,
    selected=lambda experiment: bool(settings.whole(experiment)),
    runs=settings.runs,
    first=settings.whole,
    names=settings.names,
    problems=settings.problems,
    analyses=(
        Analysis(
            name="trained_heads",
            compute="headpatterns.studies.trained_heads.analysis:compute",
            inputs=settings.tables,
            outputs={"shares": "trained_heads"},
            settings=named,
        ),
    ),
    drawings=(
        Drawing(
            name="trained_heads",
            draw="headpatterns.studies.trained_heads.figure:figures",
            inputs=run_table(trained_heads="trained_heads"),
            figures=("figure_trained_heads",),
            in_report=False,
        ),
    ),
    effects=(
        Effects(
            name="trained_heads",
            measure="headpatterns.studies.trained_heads.effects:measure",
            inputs=lambda experiment: {"runs": experiment.paths.run_table, **settings.tables(experiment)},
            settings=named,
            measures=("trained_heads_carry", "trained_changed_beat_random", "trained_effective_beat_random"),
        ),
    ),
    section="headpatterns.studies.trained_heads.section:section",
    targets={"figure_trained_heads": ("trained_heads",)},
)
