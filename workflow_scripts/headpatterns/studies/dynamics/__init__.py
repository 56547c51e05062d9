"""How fast the patterns change during fine-tuning (Figure 5), and how their level is related to the loss."""

from typing import TYPE_CHECKING, Any

from headpatterns.experiment.study import Analysis, Drawing, Effects, Study
from headpatterns.studies.descriptions import bootstrap, patterns, resampled, run_table
from headpatterns.studies.dynamics import settings
from headpatterns.studies.reading import OF_PATTERNS

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def expected(experiment: "Experiment") -> dict[str, Any]:
    """The settings of the bootstrap, and the model that changes most according to the paper."""
    return {**bootstrap(experiment), "changes_most": experiment.settings(settings.NAME).changes_most}


STUDY = Study(
    name=settings.NAME,
    place=30,
    settings=settings.Settings,
    selected=lambda experiment: bool(settings.runs(experiment)),
    runs=settings.runs,
    names=settings.names,
    reads_steps=True,
    analyses=(
        Analysis(
            name="dynamics",
            compute="headpatterns.studies.dynamics.analysis:compute",
            inputs=run_table(),
            outputs={"dynamics": "dynamics"},
            settings=resampled,
            needs=patterns(settings.runs),
        ),
        Analysis(
            name="level",
            compute="headpatterns.studies.dynamics.level:compute",
            inputs=run_table(),
            outputs={"level": "level", "summary": "level_summary"},
            settings=resampled,
            needs=patterns(settings.runs),
        ),
    ),
    drawings=(
        Drawing(
            name="figure5",
            draw="headpatterns.studies.dynamics.figure5:figures",
            inputs=run_table(dynamics="dynamics"),
            figures=("figure5",),
        ),
        Drawing(
            name="figure_level",
            draw="headpatterns.studies.dynamics.figure_level:figures",
            inputs=run_table(level="level", summary="level_summary"),
            figures=("figure_level",),
        ),
    ),
    effects=(
        Effects(
            name="dynamics",
            measure="headpatterns.studies.dynamics.effects:measure",
            inputs=run_table(),
            settings=expected,
            needs=patterns(settings.runs),
            read=OF_PATTERNS,
            measures=("early_share", "changes_most", "change_goes_with_gain", "stronger_converges_faster"),
        ),
    ),
    targets={"figure5": ("figure5",), "figure_level": ("figure_level",)},
)
