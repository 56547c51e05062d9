"""Whether the effect of fine-tuning is in the heads: heads are moved from a run into its base model, and back."""

from typing import TYPE_CHECKING, Any

from headpatterns.experiment.study import Analysis, Drawing, Effects, Paths, Study
from headpatterns.studies.descriptions import bootstrap, run_table
from headpatterns.studies.transplant import settings

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def tables(experiment: "Experiment") -> Paths:
    """The losses of every run with heads moved."""
    return {"losses": [experiment.paths.transplants(run) for run in settings.runs(experiment)]}


def named(experiment: "Experiment") -> dict[str, Any]:
    """The settings of the bootstrap, and the run of each table of losses."""
    return {**bootstrap(experiment), **settings.named(experiment)}


STUDY = Study(
    name=settings.NAME,
    place=45,
    settings=settings.Settings,
    selected=lambda experiment: bool(settings.runs(experiment)),
    runs=settings.runs,
    names=settings.names,
    problems=settings.problems,
    analyses=(
        Analysis(
            name="transplant",
            compute="headpatterns.studies.transplant.analysis:compute",
            inputs=tables,
            outputs={"shares": "transplant"},
            settings=named,
        ),
    ),
    drawings=(
        Drawing(
            name="transplant",
            draw="headpatterns.studies.transplant.figure:figures",
            inputs=run_table(transplant="transplant"),
            figures=("figure_transplant",),
            in_report=False,
        ),
    ),
    effects=(
        Effects(
            name="transplant",
            measure="headpatterns.studies.transplant.effects:measure",
            inputs=lambda experiment: {"runs": experiment.paths.run_table, **tables(experiment)},
            settings=named,
            measures=("heads_carry", "changed_heads_beat_random", "changed_heads_beat_weights"),
        ),
    ),
    section="headpatterns.studies.transplant.section:section",
    targets={"figure_transplant": ("transplant",)},
)
